"""EASUNetPlans through the real commands: plan, preprocess, train, predict, hand on."""

import json
import shutil

import pytest
from tiny_dataset import LABELS, agreement, read_labels, write_scans

from nnunet_eas.cli.main import main

pytestmark = pytest.mark.slow

PLANS = "EASUNetPlans_small"
UNSEEN = "blob_000.nii.gz"
CONFIGURATIONS = ("2d", "3d_fullres", "3d_lowres")
TRAINERS = {"2d": "nnUNetTrainer_tiny", "3d_fullres": "EASUNetTrainer_tiny"}  # nnU-Net's own trains our network, too


def contents(folder):
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def planned(blobs):
    """The plans at a target so small that even these scans get a low resolution and a cascade."""
    before = {name: contents(blobs.preprocessed / f"nnUNetPlans_{name}") for name in ("2d", "3d_fullres")}
    options = ("-gpu_memory_target", 0.0048, "-overwrite_plans_name", PLANS, "-np", 1, "-npfp", 1)
    command = ("nnunet-eas", "plan_and_preprocess", "-d", blobs.id, "-c", *CONFIGURATIONS, *options)
    done = blobs.host.run(*command, "--verify_dataset_integrity", nnUNet_n_proc_DA=1)
    after = {name: contents(blobs.preprocessed / f"nnUNetPlans_{name}") for name in before}
    plans = json.loads((blobs.preprocessed / f"{PLANS}.json").read_text(encoding="utf-8"))
    return {"plans": plans["configurations"], "output": done.stdout, "before": before, "after": after}


@pytest.fixture(scope="module")
def trained(blobs, planned):
    """Fold 0 of 3d_fullres by our trainer, of 2d by nnU-Net's own."""
    blobs.host.run_together(*[blobs.train(c, 0, "-p", PLANS, trainer=trainer) for c, trainer in TRAINERS.items()])
    return blobs


def test_the_data_of_the_default_plans_are_reused_unchanged(blobs, planned):
    assert planned["before"] == planned["after"]
    for name in ("2d", "3d_fullres"):
        assert planned["plans"][name]["data_identifier"] == f"nnUNetPlans_{name}"
        assert f"Configuration {name}: nothing to do" in planned["output"]
        assert not (blobs.preprocessed / f"{PLANS}_{name}").exists()
    own = blobs.preprocessed / f"{PLANS}_3d_lowres"
    assert planned["plans"]["3d_lowres"]["data_identifier"] == own.name
    assert {path.name.split(".")[0] for path in own.glob("*.pkl")} == set(blobs.cases)
    assert (blobs.preprocessed / "nnUNetPlans.json").read_text(encoding="utf-8") == blobs.plans


@pytest.mark.parametrize(("configuration", "trainer"), TRAINERS.items())
def test_train_and_predict(trained, planned, tmp_path, configuration, trainer):
    more = ("-p", PLANS, "-f", 0)
    trained.host.run(*trained.predict(trained.images_of_fold(0), tmp_path, configuration, *more, trainer=trainer))
    model = trained.model(configuration, trainer, PLANS)
    saved = json.loads((model / "plans.json").read_text(encoding="utf-8"))["configurations"]
    assert saved[configuration]["architecture"] == planned["plans"][configuration]["architecture"]
    assert json.loads((model / "fold_0" / "debug.json").read_text(encoding="utf-8"))["network"] == "EASUNet"
    assert agreement(tmp_path / UNSEEN, model / "fold_0" / "validation" / UNSEEN) >= 0.9999
    assert read_labels(tmp_path / UNSEEN).any()


def test_plans_move_to_another_dataset(blobs, planned):
    host = blobs.host
    other = write_scans(host.raw / "Dataset911_Other", labels=LABELS)
    folder = host.preprocessed / other.name
    folder.mkdir()
    shutil.copy(blobs.preprocessed / "dataset_fingerprint.json", folder)  # of the same scans
    host.run("nnUNetv2_move_plans_between_datasets", "-s", blobs.id, "-t", "911", "-sp", PLANS, "-tp", "Moved")
    shutil.copy(blobs.preprocessed / "splits_final.json", folder)
    shutil.copy(other / "dataset.json", folder)
    host.run("nnUNetv2_preprocess", "-d", "911", "-plans_name", "Moved", "-c", "2d", "-np", 1)
    moved = json.loads((folder / "Moved.json").read_text(encoding="utf-8"))["configurations"]["2d"]
    assert moved["architecture"] == planned["plans"]["2d"]["architecture"]
    assert moved["data_identifier"] == "Moved_nnUNetPlans_2d"
    assert list((folder / "Moved_nnUNetPlans_2d").glob("*.pkl"))


@pytest.fixture
def in_this_process(blobs, planned, monkeypatch):
    """Runs nnunet-eas without a start of Python."""
    for name, value in blobs.host.environment().items():
        monkeypatch.setenv(name, value)
    return lambda *command: main(list(map(str, command)))


def test_plan_info_shows_the_cascade(blobs, in_this_process, tmp_path, capsys):
    assert in_this_process("plan_info", "-d", blobs.id, "-p", PLANS, "--png", tmp_path) == 0
    shown = capsys.readouterr().out
    for name in (*CONFIGURATIONS, "3d_cascade_fullres"):
        assert f"{name} of {blobs.name}" in shown
        assert (tmp_path / f"{blobs.name}_{PLANS}_{name}.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("-d", 999), "dataset (-d) must be the name DatasetXXX_NAME or the id of one dataset"),
        (("-d", 901, "-c", "3d"), "configurations (-c) must be those of"),
        (("-d", 901, "-gpu_memory_target", 0.0001), "(-gpu_memory_target) must be at least"),
    ],
)
def test_bad_input_is_one_line_and_leaves_the_plans(blobs, in_this_process, capsys, more, said):
    before = {path: path.read_bytes() for path in blobs.preprocessed.glob("*.json")}
    assert in_this_process("plan_and_preprocess", *more, "-overwrite_plans_name", PLANS) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert said in error
    assert len(error.splitlines()) == 1
    assert {path: path.read_bytes() for path in blobs.preprocessed.glob("*.json")} == before
    assert not list(blobs.preprocessed.glob(".partial_*"))
