import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_dataset import LABELS, case_identifiers, write_scans

from nnunet_eas.cli import main as cli
from nnunet_eas.plans import preprocessing
from nnunet_eas.plans.preprocessing import plan_experiment, preprocess

pytestmark = pytest.mark.slow

NAME = "Dataset901_Blobs"
CASES = case_identifiers()
CASE = CASES[3]
THEIRS = {"2d": "nnUNetPlans_2d", "3d_fullres": "nnUNetPlans_3d_fullres"}
OURS = {"2d": "EASUNetPlans_2d", "3d_fullres": "EASUNetPlans_3d_fullres"}
REUSED = "the preprocessed data of nnUNetPlans are reused unchanged"


@pytest.fixture(scope="session")
def preprocessed_once(tmp_path_factory, folders_in):
    """A data set of five scans that nnU-Net has planned and preprocessed; to be copied."""
    with pytest.MonkeyPatch.context() as patch:
        root = folders_in(tmp_path_factory.mktemp("preprocessed") / "nnunet", patch).root
        write_scans(root / "raw" / NAME, labels=LABELS)
        command = Path(sys.executable).parent / "nnUNetv2_plan_and_preprocess"
        flags = ["-d", "901", "-c", "2d", "3d_fullres", "-np", "1", "-npfp", "1", "--no_pbar"]
        subprocess.run([command, *flags], check=True, capture_output=True, cwd=root)
    return root


@pytest.fixture
def blobs(preprocessed_once, tmp_path, monkeypatch, folders_in):
    """The data set with nnU-Net's plans and preprocessed data."""
    root = Path(shutil.copytree(preprocessed_once, tmp_path / "nnunet"))
    folders = folders_in(root, monkeypatch)
    folders.name = NAME
    return folders


def used(plans):
    return {name: configuration["data_identifier"] for name, configuration in plans["configurations"].items()}


def data(folders, configuration="2d"):
    return folders.preprocessed / NAME / THEIRS[configuration]


def lines(capsys):
    """The printed decision on the data of each configuration."""
    printed = capsys.readouterr().out.splitlines()
    return {name: line[len(name) + 2 :] for name in THEIRS for line in printed if line.startswith(f"{name}: ")}


def state(folder):
    """Content and time of last change of every file."""
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


def test_complete_data_are_used(blobs, capsys):
    assert used(plan_experiment(901)) == THEIRS
    assert used(blobs.plans()) == THEIRS
    assert lines(capsys) == dict.fromkeys(THEIRS, REUSED)


def test_data_of_one_configuration_can_be_used_without_the_others(blobs, capsys):
    (data(blobs) / f"{CASE}.b2nd").unlink()
    assert used(plan_experiment(901)) == {"2d": OURS["2d"], "3d_fullres": THEIRS["3d_fullres"]}
    assert lines(capsys) == {
        "2d": f"data of its own, those of nnUNetPlans cannot be used: {CASE} is missing",
        "3d_fullres": REUSED,
    }


def cut(ending, share):
    def damage(folder):
        path = folder / f"{CASE}{ending}"
        content = path.read_bytes()
        path.write_bytes(content[: min(len(content) - 1, int(share * len(content)))])

    return damage


def remove(ending):
    return lambda folder: (folder / f"{CASE}{ending}").unlink()


def empty(folder):
    shutil.rmtree(folder)
    folder.mkdir()


DAMAGES = {
    "no data": (remove(".b2nd"), f"{CASE} is missing"),
    "no segmentation": (remove("_seg.b2nd"), f"{CASE} cannot be read"),
    "no properties": (remove(".pkl"), f"{CASE} is missing"),
    "no folder": (shutil.rmtree, "not preprocessed"),
    "an empty folder": (empty, "not preprocessed"),
    **{
        f"{what} cut to {share:.0%}": (cut(ending, share), f"{CASE} cannot be read")
        for what, ending in (("data", ".b2nd"), ("segmentation", "_seg.b2nd"), ("properties", ".pkl"))
        for share in (0, 0.5, 1)
    },
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_data_are_not_used(blobs, capsys, damage):
    harm, reason = DAMAGES[damage]
    harm(data(blobs))
    assert used(plan_experiment(901)) == {"2d": OURS["2d"], "3d_fullres": THEIRS["3d_fullres"]}
    assert lines(capsys)["2d"] == f"data of its own, those of nnUNetPlans cannot be used: {reason}"


class Runs:
    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def test_properties_that_would_run_something_are_not_loaded(blobs, capsys, tmp_path):
    (data(blobs) / f"{CASE}.pkl").write_bytes(pickle.dumps({"spacing": Runs(tmp_path / "ran")}))
    plan_experiment(901)
    assert f"cannot be used: {CASE}.pkl would load posix.mkdir" in lines(capsys)["2d"]
    assert not (tmp_path / "ran").exists()


def test_data_without_a_new_case_are_not_used(blobs):
    for folder, ending in (("imagesTr", "_0000.nii.gz"), ("labelsTr", ".nii.gz")):
        path = blobs.raw / NAME / folder
        shutil.copy(path / f"{CASE}{ending}", path / f"later{ending}")
    assert used(plan_experiment(901)) == OURS


def test_data_with_a_case_that_has_been_taken_out_of_the_data_set_are_not_used(blobs):
    # nnU-Net draws its folds from the folder's files, where no other file says which
    for folder, ending in (("imagesTr", "_0000.nii.gz"), ("labelsTr", ".nii.gz")):
        (blobs.raw / NAME / folder / f"{CASE}{ending}").unlink()
    assert used(plan_experiment(901)) == OURS


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("spacing", [3.0, 1.2, 1.0]),
        ("normalization_schemes", ["CTNormalization"]),
        ("use_mask_for_norm", [True]),
        ("preprocessor_name", "MyPreprocessor"),
        ("resampling_fn_data", "resample_torch_fornnunet"),
        ("resampling_fn_data_kwargs", {"is_seg": False, "order": 1, "order_z": 0, "force_separate_z": None}),
        ("resampling_fn_seg", "resample_torch_fornnunet"),
        ("resampling_fn_seg_kwargs", {"is_seg": True, "order": 0, "order_z": 0, "force_separate_z": None}),
    ],
)
def test_data_made_in_another_way_are_not_used(blobs, capsys, edit_json, key, value):
    theirs = blobs.plans_file("nnUNetPlans")
    edit_json(theirs, lambda plans: plans["configurations"]["3d_fullres"].update({key: value}))
    assert used(plan_experiment(901)) == {"2d": THEIRS["2d"], "3d_fullres": OURS["3d_fullres"]}
    assert lines(capsys)["3d_fullres"] == f"data of its own, nnUNetPlans differ in {key}"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("transpose_forward", [1, 0, 2]),
        ("image_reader_writer", "NibabelIO"),
        ("foreground_intensity_properties_per_channel", {"0": {"mean": 1.0}}),
    ],
)
def test_data_of_plans_that_read_the_images_in_another_way_are_not_used(blobs, edit_json, key, value):
    edit_json(blobs.plans_file("nnUNetPlans"), lambda plans: plans.update({key: value}))
    assert used(plan_experiment(901)) == OURS


def test_data_of_another_shape_than_the_plan_asks_for_are_not_used(blobs, capsys, edit_json):
    def claim(plans):
        plans["configurations"]["3d_fullres"]["spacing"] = [3.0, 1.2, 1.8]
        plans["configurations"]["2d"]["spacing"] = [1.2, 1.8]

    edit_json(blobs.plans_file("nnUNetPlans"), claim)
    assert used(plan_experiment(901, overwrite_target_spacing=[3.0, 1.2, 1.8])) == OURS
    for reason in lines(capsys).values():
        assert reason.endswith("blob_000 has shape (14, 22, 30) there, not (14, 22, 15)")


@pytest.mark.parametrize("text", [None, "", '{"configurations": {"2d"'], ids=["absent", "empty", "cut"])
def test_without_nnunets_plans_nothing_is_used(blobs, text):
    file = blobs.plans_file("nnUNetPlans")
    file.unlink()
    if text is not None:
        file.write_text(text)
    assert used(plan_experiment(901)) == OURS


def test_a_configuration_that_nnunets_plans_do_not_have_gets_data_of_its_own(blobs, edit_json):
    edit_json(blobs.plans_file("nnUNetPlans"), lambda plans: plans["configurations"].pop("2d"))
    assert used(plan_experiment(901)) == {"2d": OURS["2d"], "3d_fullres": THEIRS["3d_fullres"]}


def plan_and_preprocess(*arguments):
    processes = [] if "-np" in arguments else ["-np", "1"]
    return cli.main(["plan_and_preprocess", "-d", "901", *processes, "-npfp", "1", "--no_pbar", *arguments])


def test_preprocessing_leaves_data_that_are_used_untouched(blobs):
    before = {name: state(data(blobs, name)) for name in THEIRS}
    assert plan_and_preprocess() == 0
    assert used(blobs.plans()) == THEIRS
    assert {name: state(data(blobs, name)) for name in THEIRS} == before
    assert not list((blobs.preprocessed / NAME).glob("EASUNetPlans_*"))
    assert {path.name for path in (blobs.preprocessed / NAME / "gt_segmentations").iterdir()} == {
        f"{case}.nii.gz" for case in CASES
    }


def test_preprocessing_makes_what_is_not_there_and_leaves_the_rest(blobs):
    (data(blobs) / f"{CASE}.pkl").unlink()
    before = state(blobs.preprocessed / NAME)
    assert plan_and_preprocess("-c", "2d", "3d_fullres") == 0
    own = blobs.preprocessed / NAME / OURS["2d"]
    assert {path.name for path in own.iterdir()} == {
        f"{case}{ending}" for case in CASES for ending in (".b2nd", "_seg.b2nd", ".pkl")
    }
    for path, content in before.items():
        if path.parent.name in THEIRS.values():
            assert (path.read_bytes(), path.stat().st_mtime_ns) == content
    assert not (blobs.preprocessed / NAME / OURS["3d_fullres"]).exists()


def test_no_preprocessing_where_none_is_wanted(blobs):
    shutil.rmtree(data(blobs))
    assert plan_and_preprocess("--no_pp") == 0
    assert used(blobs.plans()) == {"2d": OURS["2d"], "3d_fullres": THEIRS["3d_fullres"]}
    assert not list((blobs.preprocessed / NAME).glob("EASUNetPlans_*"))


@pytest.fixture
def handed_to_nnunet(monkeypatch):
    """Configurations given to nnU-Net's preprocessing, which deletes the folder that it writes to."""
    handed_over = []
    monkeypatch.setattr(
        preprocessing, "preprocess_dataset", lambda _, plans, names, *rest, **shown: handed_over.append((plans, names))
    )
    return handed_over


def test_only_what_is_missing_is_handed_to_nnunet(blobs, handed_to_nnunet):
    shutil.rmtree(data(blobs))
    assert plan_and_preprocess() == 0
    assert handed_to_nnunet == [("EASUNetPlans", ["2d", "3d_lowres"])]  # it passes over what the plans lack


@pytest.mark.parametrize("name", ["Mine", "nnUNetPlans2", "nnUNet"])
def test_data_that_are_used_are_not_handed_over_whatever_the_plans_are_called(blobs, handed_to_nnunet, name):
    assert plan_and_preprocess("-overwrite_plans_name", name, "-c", "2d", "3d_fullres") == 0
    assert used(blobs.plans(name)) == THEIRS
    assert handed_to_nnunet == [(name, [])]


def add_own_configuration(plans):
    plans["configurations"]["mine"] = {"inherits_from": "2d", "batch_size": 3}


def test_a_configuration_that_inherits_data_of_its_own_is_preprocessed(blobs, handed_to_nnunet, edit_json):
    shutil.rmtree(data(blobs))
    plan_experiment(901)
    edit_json(blobs.plans_file(), add_own_configuration)
    preprocess(901, blobs.plans(), configurations=["mine"])
    assert handed_to_nnunet == [("EASUNetPlans", ["mine"])]


def test_a_configuration_that_inherits_data_that_are_used_is_not(blobs, handed_to_nnunet, edit_json, capsys):
    plan_experiment(901)
    edit_json(blobs.plans_file(), add_own_configuration)
    capsys.readouterr()
    preprocess(901, blobs.plans(), configurations=["mine"])
    assert handed_to_nnunet == [("EASUNetPlans", [])]
    assert "mine: nothing to do, the data nnUNetPlans_2d are reused" in capsys.readouterr().out


@pytest.mark.parametrize("numbers", [["1"], ["2", "1"]])
def test_processes_are_one_number_or_one_for_each_configuration(blobs, handed_to_nnunet, numbers):
    assert plan_and_preprocess("-c", "2d", "3d_fullres", "-np", *numbers) == 0
    assert len(handed_to_nnunet) == 1


def test_another_number_of_processes_is_refused(blobs, handed_to_nnunet, capsys):
    assert plan_and_preprocess("-c", "2d", "3d_fullres", "-np", "1", "1", "1") == 1
    error = capsys.readouterr().err
    assert error == (
        "error: num_processes (-np) must hold one number, or one for each of 2d 3d_fullres, got 3 numbers. "
        "Give as many.\n"
    )
    assert not handed_to_nnunet


def test_a_fingerprint_is_extracted_where_there_is_none(blobs):
    fingerprint = blobs.preprocessed / NAME / "dataset_fingerprint.json"
    before = fingerprint.read_bytes()
    fingerprint.unlink()
    assert plan_and_preprocess("--no_pp") == 0
    assert fingerprint.read_bytes() == before
    assert used(blobs.plans()) == THEIRS


def test_what_nnunet_says_of_a_faulty_data_set_is_one_line(blobs, capsys):
    (blobs.raw / NAME / "labelsTr" / f"{CASE}.nii.gz").unlink()
    assert plan_and_preprocess("--verify_dataset_integrity") == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert not blobs.plans_file().exists()
