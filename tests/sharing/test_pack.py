"""Packing: what is in the file, what is not, and what cannot be packed."""

import json
import math
import os
import pickle
import shutil
import time
import zipfile

import pytest
import torch
from sharing.tiny_results import CASES, DATASET, write_trained

from nnunet_eas.cli.main import main
from nnunet_eas.sharing import pack as module
from nnunet_eas.sharing.pack import pack

NAME = "nnUNetTrainer__nnUNetPlans__2d"
MODEL_MEMBERS = [
    *(f"{NAME}/{file}" for file in ("plans.json", "dataset.json", "dataset_fingerprint.json")),
    *(f"{NAME}/fold_{fold}/{file}" for fold in (0, 1) for file in ("checkpoint.json", "weights.safetensors")),
]


def members(file):
    with zipfile.ZipFile(file) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


@pytest.fixture
def copied(trained, tmp_path):
    """A model's folder that a test may change."""
    return shutil.copytree(trained(), tmp_path / "model")


def change_checkpoint(folder, **entries):
    for file in folder.glob("fold_*/*.pth"):
        torch.save({**torch.load(file, weights_only=False), **entries}, file)


def test_members_and_manifest(packed):
    content = members(packed())
    assert list(content) == ["README.md", *MODEL_MEMBERS, "manifest.json"]
    manifest = json.loads(content["manifest.json"])
    one = {"trainer": "nnUNetTrainer", "plans": "nnUNetPlans", "configuration": "2d", "folds": [0, 1]}
    assert manifest["models"] == [{"name": NAME, **one}]
    assert (manifest["format"], manifest["ensemble"], manifest["postprocessing"]) == (1, False, None)
    assert set(manifest["members"]) == set(content) - {"manifest.json"}
    with zipfile.ZipFile(packed()) as archive:
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}


def test_a_tensor_with_several_names_is_stored_once(packed, trained):
    checkpoint = torch.load(trained() / "fold_0" / "checkpoint_final.pth", weights_only=False)
    tensors = checkpoint["network_weights"].values()
    once = {tensor.data_ptr(): tensor.nbytes for tensor in tensors}
    assert sum(once.values()) < sum(tensor.nbytes for tensor in tensors), "stock networks register their layers twice"
    size = len(members(packed())[f"{NAME}/fold_0/weights.safetensors"])
    assert sum(once.values()) < size < sum(once.values()) + 100 * len(once)


def test_no_name_of_a_case_is_anywhere_in_the_file(packed, best, tmp_path):
    best("2d", "3d_fullres")
    ensemble = pack(None, tmp_path / "best.nnunet.zip", dataset=DATASET)
    for file in (packed(), packed("eas", "3d_fullres"), ensemble):
        content = file.read_bytes()
        assert [case for case in (*CASES, "miller", "schmidt", "/data/") if case.encode() in content] == []
        assert str(tmp_path).encode() not in content


def test_a_fingerprint_with_names_of_cases_is_left_out(copied, tmp_path):
    fingerprint = json.loads((copied / "dataset_fingerprint.json").read_text())
    for changed in ({**fingerprint, "spacings": {CASES[0]: [1, 1, 1]}}, {**fingerprint, "cases": list(CASES)}):
        (copied / "dataset_fingerprint.json").write_text(json.dumps(changed))
        content = members(pack(copied, tmp_path / "a.nnunet.zip"))
        assert list(content) == ["README.md", *(name for name in MODEL_MEMBERS if "print" not in name), "manifest.json"]


def test_the_same_model_gives_the_same_bytes(copied, tmp_path, monkeypatch):
    first = pack(copied, tmp_path / "first.nnunet.zip").read_bytes()
    for file in copied.rglob("*"):
        os.utime(file, (1e9, 1e9))
    later = time.time() + 1e6
    monkeypatch.setattr(time, "time", lambda: later)
    assert pack(str(copied), tmp_path / "new" / "second.nnunet.zip").read_bytes() == first


def test_the_model_card(copied, tmp_path):
    change_checkpoint(copied, current_epoch=250)
    text = "Knees; not for diagnosis."
    arguments = ["--license", "CC-BY-4.0", "--intended-use", text, "-o", str(tmp_path / "a.nnunet.zip")]
    assert main(["pack", str(copied), *arguments]) == 0
    card = members(tmp_path / "a.nnunet.zip")["README.md"].decode()
    front, rest = card.removeprefix("---\n").split("\n---\n", 1)
    assert front.splitlines()[:3] == [
        "license: cc-by-4.0",
        "library_name: nnunet-eas",
        "pipeline_tag: image-segmentation",
    ]
    for line in (
        "# Dataset906_Tiny: 2d",
        f"- Intended use: {text}",
        "- License: CC-BY-4.0",
        "| training cases | 5 |",
        "| channels | 0 MR0 |",
        "| labels | background 0, core 1, shell 2 |",
        "| median spacing (mm) | 0.9 x 2.4 x 1.2 |",
        "| nnUNetTrainer | nnUNetPlans | 2d | 0 1 | 250 | 2.4 x 1.2 | 16 x 24 |",
        "| Dice | fold 0 | fold 1 | mean over folds |",
        "| core | 0.5000 | 0.6000 | 0.5500 |",
        "| shell | 0.7500 | 0.7500 | 0.7500 |",
        "| mean of the structures | 0.6000 | 0.6000 | 0.6000 |",
    ):
        assert line in rest.splitlines(), line
    assert f"torch {torch.__version__.split('+')[0]}" in rest


def test_what_is_not_stated(copied, tmp_path):
    shutil.rmtree(copied / "fold_0" / "validation")
    summary = copied / "fold_1" / "validation" / "summary.json"
    content = json.loads(summary.read_text())
    content["mean"]["1"]["Dice"] = math.nan
    summary.write_text(json.dumps(content))
    card = members(pack(copied, tmp_path / "a.nnunet.zip"))["README.md"].decode()
    assert card.startswith("---\nlicense: unknown\n")
    for line in (
        "- Intended use: not stated",
        "- License: not stated",
        "| core | - | - | - |",
        "| shell | - | 0.7500 | 0.7500 |",
    ):
        assert line in card.splitlines(), line


def test_the_best_with_the_first_stage_of_a_cascade(best, tmp_path, capsys):
    best("3d_cascade_fullres", "2d", others=("3d_lowres", "3d_fullres"))
    file = tmp_path / "best.nnunet.zip"
    assert main(["pack", "-d", DATASET, "-o", str(file)]) == 0
    content = members(file)
    manifest = json.loads(content["manifest.json"])
    assert [one["configuration"] for one in manifest["models"]] == ["3d_cascade_fullres", "2d", "3d_lowres"]
    assert manifest["best"] == {
        "models": ["nnUNetTrainer__nnUNetPlans__3d_cascade_fullres", NAME],
        "folds": [0, 1],
        "dice": 0.875,
    }
    assert (manifest["ensemble"], manifest["postprocessing"]) == (True, "postprocessing.json")
    function, _ = json.loads(content["postprocessing.json"])["functions"]
    assert function["function"].endswith(".remove_all_but_largest_component_from_segmentation")
    assert function["keywords"] == {"labels_or_regions": [1, {"region": [1, 2]}]}
    assert "with postprocessing, has a mean Dice of 0.8750" in content["README.md"].decode()
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "nnUNetTrainer__nnUNetPlans__3d_cascade_fullres, fold 0, 1"
    assert said[-1].startswith(f"written: {file}, ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"output": "a.zip"}, r"output \(-o\) must end in \.nnunet\.zip, got a\.zip"),
        ({"license": "do what\nyou want"}, r"license \(--license\) must be an SPDX id"),
        ({"dataset": "4"}, r"given as a folder \(MODEL\) or as a dataset \(-d\), got both"),
        ({"model": None}, r"got neither"),
        ({"model": None, "dataset": "4", "folds": [1]}, r"without -f and -chk, .* got folds \(-f\)"),
        ({"model": None, "dataset": "4", "checkpoint": "checkpoint_best.pth"}, r"got checkpoint \(-chk\)"),
    ],
)
def test_arguments(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        pack(**{"model": "MODEL", "output": "a.nnunet.zip", **arguments})
    assert list(tmp_path.iterdir()) == []


def test_folds_and_checkpoint(copied, tmp_path):
    (copied / "fold_1" / "checkpoint_final.pth").rename(copied / "fold_1" / "checkpoint_best.pth")
    content = members(pack(copied, tmp_path / "a.nnunet.zip", folds=[1], checkpoint="checkpoint_best.pth"))
    assert {name.split("/")[1] for name in content if "fold" in name} == {"fold_1"}
    with pytest.raises(FileNotFoundError, match=r"folds \(-f\) must be folds with checkpoint_final\.pth, got 1"):
        pack(copied, tmp_path / "a.nnunet.zip", folds=[1])


class Harmful:
    def __reduce__(self):
        return os.mkdir, ("made",)


def test_a_checkpoint_that_runs_something_is_not_packed(copied, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    change_checkpoint(copied, logging=Harmful())
    with pytest.raises(ValueError, match=r"would also load posix\.mkdir"):
        pack(copied, "a.nnunet.zip")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model"]


def test_a_postprocessing_that_runs_something_is_not_packed(best, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = best("2d")
    (folder / NAME / "crossval_results_folds_0_1" / "postprocessing.pkl").write_bytes(pickle.dumps(Harmful()))
    with pytest.raises(ValueError, match=r"postprocessing must hold nnU-Net's .* would load 'posix\.mkdir'"):
        pack(None, "a.nnunet.zip", dataset=DATASET)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["results"]


def test_folds_of_several_trainings_are_not_packed(copied, tmp_path):
    file = copied / "fold_1" / "checkpoint_final.pth"
    torch.save({**torch.load(file, weights_only=False), "trainer_name": "EASUNetTrainer"}, file)
    with pytest.raises(ValueError, match=r"must be of one training, got EASUNetTrainer 2d in .*fold_1"):
        pack(copied, tmp_path / "a.nnunet.zip")


def test_weights_that_are_no_tensors(copied, tmp_path):
    change_checkpoint(copied, network_weights={"a": torch.zeros(3), "b": [1, 2]})
    with pytest.raises(ValueError, match=r"network_weights must hold plain tensors, got list for b in .*fold_0"):
        pack(copied, tmp_path / "a.nnunet.zip")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model"]


def test_a_renamed_folder_of_the_best(best, tmp_path):
    folder = best("2d", others=("3d_fullres",))
    shutil.rmtree(folder / NAME)
    (folder / NAME.replace("2d", "3d_fullres")).rename(folder / NAME)
    place = folder / NAME / "crossval_results_folds_0_1"
    place.mkdir()
    for name in ("postprocessing.pkl", "plans.json"):
        (place / name).touch()
    (place / "postprocessing.pkl").write_bytes(b"\x80\x04]]\x86.")  # ([], [])
    with pytest.raises(ValueError, match=r"folder must be named after what it holds, got .*3d_fullres in"):
        pack(None, tmp_path / "a.nnunet.zip", dataset=DATASET)


def test_where_writing_fails_the_file_of_before_stays(trained, tmp_path, monkeypatch):
    file = tmp_path / "a.nnunet.zip"
    file.write_text("of before")

    def full_disk(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "separated", full_disk)
    with pytest.raises(OSError, match="No space left"):
        pack(trained(), file)
    assert [path.name for path in tmp_path.iterdir()] == [file.name]
    assert file.read_text() == "of before"


def test_classes_of_other_packages_are_told(copied, tmp_path):
    plans = json.loads((copied / "plans.json").read_text())
    plans["configurations"]["3d_fullres"]["architecture"]["network_class_name"] = "monai.networks.nets.UNETR"
    (copied / "plans.json").write_text(json.dumps(plans))
    said = []
    pack(copied, tmp_path / "a.nnunet.zip", say=said.append)
    assert said[1].startswith("note: the plans name classes of other packages")


def test_a_name_that_is_no_file_name_everywhere(tmp_path):
    folder = write_trained(tmp_path)
    plans = json.loads((folder / "plans.json").read_text())
    (folder / "plans.json").write_text(json.dumps({**plans, "plans_name": "what?"}))
    with pytest.raises(ValueError, match=r"must be file names on every system, got nnUNetTrainer__what\?__2d/"):
        pack(folder, tmp_path / "a.nnunet.zip")
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]
