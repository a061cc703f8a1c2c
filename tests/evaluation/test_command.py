"""`nnunet-eas evaluate` as a user types it."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from evaluation.mask_files import SPACING, label_map, write_mask

from nnunet_eas.cli import evaluate
from nnunet_eas.cli import main as cli
from nnunet_eas.evaluation import case_scores
from nnunet_eas.evaluation.metrics import DEFINED_BY

BOX = (slice(1, 4), slice(2, 6), slice(3, 8))
NEXT = (slice(1, 4), slice(2, 6), slice(4, 9))
CORNER = (slice(5, 6), slice(0, 2), slice(0, 1))
LABELS = {"background": 0, "box": 1, "corner": 2}
COLUMNS = ["case", "label", *DEFINED_BY]


@pytest.fixture
def folders(tmp_path):
    """Two cases: a is predicted as it is, b one voxel off and without its corner."""
    for case, predicted in (("a", BOX), ("b", NEXT)):
        write_mask(tmp_path / "ref" / f"{case}.nii.gz", label_map((1, BOX), (2, CORNER)))
        corner = [(2, CORNER)] if case == "a" else []
        write_mask(tmp_path / "pred" / f"{case}.nii.gz", label_map((1, predicted), *corner))
    return tmp_path


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Runs the command in its folder; status, the JSON file's content if there is one, what was printed."""
    monkeypatch.setitem(cli.COMMANDS, "evaluate", evaluate)
    monkeypatch.chdir(tmp_path)

    def written():
        path = Path("out.json")
        return json.loads(path.read_text(), parse_constant=pytest.fail) if path.is_file() else None

    def run(*args, ref="ref", pred="pred"):
        given = [*(["-ref", ref] if ref else []), "-pred", pred, "-o", "out.json", "--workers", "1", *args]
        Path("out.json").unlink(missing_ok=True)
        status = cli.main(["evaluate", *map(str, given)])
        captured = capsys.readouterr()
        return status, written(), captured.out, captured.err

    return run


def test_two_folders(folders, run):
    status, content, out, err = run("--csv", "out.csv")
    assert (status, err) == (0, "")
    assert content["cases"] == 2
    assert content["tolerance_mm"] == 1
    assert content["labels"] == {"1": [1], "2": [2]}
    assert content["faults"] == {}
    assert [(r["case"], r["label"]) for r in content["per_case"]] == [("a", "1"), ("a", "2"), ("b", "1"), ("b", "2")]
    assert list(content["per_case"][0]) == COLUMNS
    box, lost = content["per_case"][2:]
    assert box["dice"] == pytest.approx(0.8)
    assert box["hd_mm"] == pytest.approx(SPACING[2])
    assert lost["dice"] == lost["nsd"] == 0
    assert lost["hd_mm"] is lost["hd95_mm"] is lost["assd_mm"] is lost["precision"] is None

    assert content["mean"]["labels"]["1"]["dice"] == pytest.approx(0.9)
    assert content["standard_deviation"]["1"]["dice"] == pytest.approx(0.1 * 2**0.5)
    assert content["mean"]["labels"]["2"]["dice"] == pytest.approx(0.5)
    assert content["mean"]["foreground"]["dice"] == pytest.approx(0.7)
    # of the corner's distances one is left, of case a
    assert content["mean"]["labels"]["2"]["hd_mm"] == 0
    assert content["standard_deviation"]["2"]["hd_mm"] is None
    assert content["left_out"]["2"] == {**dict.fromkeys(DEFINED_BY, 0), "precision": 1} | dict.fromkeys(
        ("hd_mm", "hd95_mm", "assd_mm"), 1
    )
    assert content["mean"]["foreground"]["hd_mm"] == pytest.approx(SPACING[2] / 4)

    assert set(DEFINED_BY) < set(content["definitions"])
    assert content["definitions"]["nsd"].endswith("Here tolerance_mm is 1.")
    assert "ignore_label" not in content["definitions"]

    rows = list(csv.DictReader((folders / "out.csv").open()))
    assert list(rows[0]) == COLUMNS
    assert [row["hd_mm"] for row in rows] == ["0.0", "0.0", "1.25", ""]

    assert "mean (SD) of 2 cases" in out
    assert "90.00 (14.14)" in out
    assert "2: cases without a value, left out of the mean: precision 1, hd_mm 1, hd95_mm 1, assd_mm 1" in out
    assert not list(folders.glob("*.partial"))


def test_the_tolerance_is_used_and_stated(folders, run):
    _, strict, _, _ = run("--tolerance-mm", "1.2")
    _, loose, out, _ = run("--tolerance-mm", "1.25")
    assert strict["per_case"][2]["nsd"] < loose["per_case"][2]["nsd"] == 1
    assert loose["tolerance_mm"] == 1.25
    assert "Here tolerance_mm is 1.25." in loose["definitions"]["nsd"]
    assert "NSD at 1.25 mm" in out


def test_dataset_json_gives_names_regions_and_the_ignore_label(folders, run):
    labels = {"background": 0, "both": [1, 2], "box": 1, "ignore": 3}
    (folders / "dataset.json").write_text(json.dumps({"labels": labels, "file_ending": ".nii.gz"}))
    status, content, _, _ = run("-djfile", "dataset.json")
    assert status == 0
    assert content["labels"] == {"both": [1, 2], "box": [1]}
    assert content["ignore_label"] == 3
    assert "where the reference is 3" in content["definitions"]["ignore_label"]
    # beside the predictions, where nnUNetv2_predict puts it, it is found
    shutil.move(folders / "dataset.json", folders / "pred")
    assert run()[1] == content


def test_chosen_labels(folders, run):
    (folders / "dataset.json").write_text(json.dumps({"labels": LABELS, "file_ending": ".nii.gz"}))
    assert run("-l", 2)[1]["labels"] == {"2": [2]}
    assert run("-l", 2, "-djfile", "dataset.json")[1]["labels"] == {"corner": [2]}
    status, content, out, err = run("-l", 5, "-djfile", "dataset.json")
    assert (status, content, out) == (1, None, "")
    assert err == "error: labels (-l) must be in dataset.json, got 5. Choose from 1 2.\n"


def test_formats_may_differ_between_the_sides(folders, run):
    expected = run()[1]
    (folders / "pred" / "a.nii.gz").unlink()
    write_mask(folders / "pred" / "a.mha", label_map((1, BOX), (2, CORNER)).astype(np.int16))
    status, content, _, _ = run()
    assert status == 0
    for record, other in zip(content["per_case"], expected["per_case"], strict=True):
        assert record == pytest.approx(other)


def test_pictures(tmp_path, run):
    for side in ("ref", "pred"):
        write_mask(tmp_path / side / "a.png", label_map((1, BOX))[1])
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "box": 1}, "file_ending": ".png"}))
    assert run("-djfile", "dataset.json")[1]["mean"]["labels"]["box"]["dice"] == 1


def test_faulty_cases_are_named_and_the_others_evaluated(folders, run):
    expected = run()[1]["per_case"]
    whole = (folders / "ref" / "a.nii.gz").read_bytes()
    write_mask(folders / "ref" / "only_reference.nii.gz", label_map((1, BOX)))
    write_mask(folders / "pred" / "only_prediction.nii.gz", label_map((1, BOX)))
    for side, content in (("ref", whole), ("pred", whole[:-20])):
        (folders / side / "cut.nii.gz").write_bytes(content)
    write_mask(folders / "ref" / "elsewhere.nii.gz", label_map((1, BOX)))
    write_mask(folders / "pred" / "elsewhere.nii.gz", label_map((1, BOX)), spacing=(3, 0.5, 1))
    for name in ("twice.nii.gz", "twice.mha"):
        write_mask(folders / "pred" / name, label_map((1, BOX)))
    write_mask(folders / "ref" / "twice.nii.gz", label_map((1, BOX)))

    status, content, out, err = run()
    assert status == 1
    assert content["per_case"] == expected
    expected_faults = {
        "cut": "prediction: cut.nii.gz must be a whole file, got a damaged one",
        "elsewhere": "the prediction must lie where the reference lies, got spacing (1, 0.5, 3), not (1.25, 0.5, 3)",
        "only_prediction": "the reference must be there, got none",
        "only_reference": "the prediction must be there, got none",
        "twice": "the prediction must be one file, got",
    }
    assert list(content["faults"]) == list(expected_faults)
    for case, start in expected_faults.items():
        (fault,) = content["faults"][case]
        assert fault.replace(".0,", ",").replace(".0)", ")").startswith(start)
        assert f"left out {case}: {fault}\n" in err
    assert err.splitlines()[-1] == (
        "error: predictions (-pred) must fit references (-ref) in all cases, got faults in cut, elsewhere, "
        "only_prediction, only_reference, twice. Correct these cases; the other 2 are evaluated."
    )
    assert "2 cases in out.json" in out


def test_labels_that_the_dataset_does_not_name(folders, run):
    (folders / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "box": 1}, "file_ending": ".nii.gz"}))
    status, content, _, _ = run("-djfile", "dataset.json")
    assert status == 1
    assert [fault[:70] for fault in content["faults"]["a"]] == [
        "the reference must hold labels of dataset.json only, got 2. Correct th",
        "the prediction must hold labels of dataset.json only, got 2. Correct t",
    ]
    assert len(content["faults"]["b"]) == 1


def test_with_no_sound_case_the_file_still_says_why(folders, run):
    for case in "ab":
        (folders / "pred" / f"{case}.nii.gz").write_text("")
    status, content, out, _ = run()
    assert status == 1
    assert content["per_case"] == []
    assert content["mean"]["labels"]["1"]["dice"] is None
    assert set(content["faults"]) == {"a", "b"}
    assert "mean (SD)" not in out


@pytest.mark.parametrize(
    ("args", "folder", "message"),
    [
        (["--tolerance-mm", "-1"], {}, "tolerance_mm must be 0 or more, got -1.0. "),
        (["--tolerance-mm", "nan"], {}, "tolerance_mm must be 0 or more, got nan. "),
        (["--workers", "0"], {}, "workers must be at least 1, got 0. "),
        (["-djfile", "nowhere.json"], {}, "dataset_json (-djfile) must be a file, got nowhere.json. "),
        (["--csv", "out.json"], {}, "--csv must be another file than -o, got out.json for both. "),
        (["--csv", "pred"], {}, "--csv must be a file, got the folder pred. "),
        ([], {"ref": "nowhere"}, "references (-ref) must be a folder, got nowhere. "),
        ([], {"ref": None}, "references (-ref) must be a folder of masks, got nothing. "),
        ([], {"pred": "nowhere"}, "predictions (-pred) must be a folder, got nowhere. "),
        ([], {"ref": None, "pred": "nowhere"}, "predictions (-pred) must be a folder, got nowhere. "),
        ([], {"ref": "mixed"}, "references (-ref) must hold masks only, got a_0000, which looks like the scan of a, "),
        ([], {"pred": "empty"}, "predictions (-pred) must hold masks (.nii.gz .nii .mha "),
        ([], {"ref": "empty"}, "references (-ref) must hold masks (.nii.gz .nii .mha "),
        ([], {"pred": "ref"}, "predictions (-pred) must be another folder than references (-ref), got ref for both. "),
        ([], {"ref": "blank"}, "references (-ref) must hold labels, got none in 2 masks that can be read. "),
    ],
)
def test_bad_arguments(folders, run, args, folder, message):
    (folders / "empty").mkdir()
    for case in "ab":
        write_mask(folders / "blank" / f"{case}.nii.gz", label_map())
    for name in ("a", "a_0000"):
        write_mask(folders / "mixed" / f"{name}.nii.gz", label_map())
    status, content, out, err = run(*args, **folder)
    assert (status, content, out) == (1, None, "")
    assert err.startswith(f"error: {message}")
    assert err.count("\n") == 1


def test_a_file_ending_that_is_not_read(folders, run):
    (folders / "dataset.json").write_text(json.dumps({"labels": LABELS, "file_ending": ".gipl"}))
    status, _, _, err = run("-djfile", "dataset.json")
    assert status == 1
    assert err.startswith("error: file_ending in dataset.json must be one of .nii.gz ")


def test_with_dataset_json_other_files_beside_the_masks_do_not_count(folders, run):
    (folders / "dataset.json").write_text(json.dumps({"labels": LABELS, "file_ending": ".nii.gz"}))
    (folders / "pred" / "progress.png").write_text("a picture")
    assert run("-djfile", "dataset.json")[0] == 0
    status, content, _, _ = run()
    assert status == 1
    assert list(content["faults"]) == ["progress"]


def test_interruption_leaves_no_file(folders, run, monkeypatch):
    def interrupted(**pair):
        raise KeyboardInterrupt

    monkeypatch.setattr(case_scores, "measure", interrupted)
    status, content, out, err = run()
    assert (status, content, out) == (130, None, "")
    assert err.count("\n") == 1
    assert not list(folders.glob("*.partial"))


def test_a_failing_write_leaves_the_earlier_results(folders, run, monkeypatch):
    run()
    earlier = Path("out.json").read_bytes()

    def failing(source, target):
        raise OSError("no space")

    monkeypatch.setattr(os, "replace", failing)
    assert cli.main(["evaluate", "-ref", "ref", "-pred", "pred", "-o", "out.json", "--workers", "1"]) == 1
    assert Path("out.json").read_bytes() == earlier
    assert not list(folders.glob("*.partial"))


@pytest.fixture
def model(folders, monkeypatch):
    """A trained model's folder with the cases a and b in the validation of folds 0 and 1, c not trained yet."""
    model = folders / "results" / "Dataset001_Boxes" / "Trainer__Plans__2d"
    dataset = folders / "preprocessed" / "Dataset001_Boxes"
    for number, case in enumerate("ab"):
        (model / f"fold_{number}" / "validation").mkdir(parents=True)
        shutil.move(folders / "pred" / f"{case}.nii.gz", model / f"fold_{number}" / "validation")
        (model / f"fold_{number}" / "validation" / "summary.json").write_text("{}")
    (folders / "pred").rmdir()
    dataset.mkdir(parents=True)
    shutil.move(folders / "ref", dataset / "gt_segmentations")
    write_mask(dataset / "gt_segmentations" / "c.nii.gz", label_map((1, BOX)))
    (dataset / "splits_final.json").write_text(json.dumps([{"train": [], "val": [case]} for case in "abc"]))
    (model / "dataset.json").write_text(json.dumps({"labels": LABELS, "file_ending": ".nii.gz"}))
    (model / "plans.json").write_text(json.dumps({"dataset_name": "Dataset001_Boxes"}))
    monkeypatch.setenv("nnUNet_preprocessed", str(folders / "preprocessed"))
    return model


def test_a_trained_model_s_folds(model, run):
    status, content, out, err = run(ref=None, pred=model)
    assert (status, err) == (0, "")
    assert "validation cases of fold_0, fold_1\n" in out
    assert content["cases"] == 2
    assert content["labels"] == {"box": [1], "corner": [2]}
    # the references can be given all the same
    assert (
        run(ref=model.parents[2] / "preprocessed" / "Dataset001_Boxes" / "gt_segmentations", pred=model)[1] == content
    )


def test_a_fold_without_all_its_cases(model, run):
    (model / "fold_1" / "validation" / "b.nii.gz").unlink()
    (model / "fold_2").mkdir()
    status, content, _, err = run(ref=None, pred=model)
    assert status == 1
    assert content["cases"] == 1
    assert list(content["faults"]) == ["b", "c", "fold_1", "fold_2"]
    assert content["faults"]["fold_2"] == [
        "validation must hold masks, got none. Finish its training, or run it with --val."
    ]
    assert "b, c, fold_1, fold_2" in err.splitlines()[-1]


def test_a_case_in_two_folds(model, run):
    shutil.copytree(model / "fold_0", model / "fold_10")
    status, content, _, _ = run(ref=None, pred=model)
    assert status == 1
    assert content["faults"]["a"][0].startswith(
        "the prediction must be one file, got fold_0/validation/a.nii.gz, fold_10/validation/a.nii.gz. "
    )


def test_fold_all_counts_where_it_is_alone(model, run):
    shutil.copytree(model / "fold_0", model / "fold_all")
    assert "fold_all" not in run(ref=None, pred=model)[2]
    for number in (0, 1):
        shutil.rmtree(model / f"fold_{number}")
    status, content, out, err = run(ref=None, pred=model)
    assert (status, content["cases"]) == (0, 1)
    assert "validation cases of fold_all" in out
    assert err.startswith("warning: fold_all was trained on the very cases that it is evaluated on")


@pytest.mark.parametrize("preprocessed", [None, "nowhere"])
def test_a_model_without_references(model, run, monkeypatch, preprocessed):
    if preprocessed:
        monkeypatch.setenv("nnUNet_preprocessed", preprocessed)
    else:
        monkeypatch.delenv("nnUNet_preprocessed")
    status, _, _, err = run(ref=None, pred=model)
    assert status == 1
    assert "error: references (-ref) must be a folder of masks, got nothing. " in err


@pytest.mark.slow
def test_in_a_shell_with_several_processes(folders, run):
    """The real script: more processes give the same file, labels are found, a faulty case ends in status 1."""
    _, expected, _, _ = run()
    code = (
        "from nnunet_eas.cli import evaluate, main\n"
        "main.COMMANDS['evaluate'] = evaluate\n"
        "if __name__ == '__main__': main.script()\n"
    )
    (folders / "script.py").write_text(code)
    command = [sys.executable, "script.py", "evaluate", "-ref", "ref", "-pred", "pred", "-o", "new/two.json"]

    def shell():
        return subprocess.run([*command, "--workers", "2"], capture_output=True, text=True, cwd=folders)

    completed = shell()
    assert (completed.returncode, completed.stderr) == (0, "")
    assert json.loads((folders / "new" / "two.json").read_text()) == expected
    (folders / "pred" / "a.nii.gz").write_text("")
    completed = shell()
    assert completed.returncode == 1
    assert completed.stderr.splitlines()[-1].startswith(
        "error: predictions (-pred) must fit references (-ref) in all cases, got faults in a. "
    )
    assert "Traceback" not in completed.stderr
