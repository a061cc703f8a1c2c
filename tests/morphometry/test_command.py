"""`nnunet-eas quantify` as a user types it."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from evaluation.mask_files import write_mask
from PIL import Image

from nnunet_eas.cli import main as cli
from nnunet_eas.evaluation.structures import chosen, structures_of_dataset
from nnunet_eas.morphometry.bone import known_bones
from nnunet_eas.morphometry.measures import COLUMNS

SPACING = (0.6, 0.5, 0.7)
LABELS = {"background": 0, "femur": 1, "femoral_cartilage": 2, "meniscus": 3}


def knee_like(*, with_bone=True, holes=False):
    """A block of bone (1) with a plate of cartilage (2) of 2.4 mm on top; a hole in it is of 9 x 8 voxels."""
    labels = np.zeros((30, 44, 40), dtype=np.uint8)
    labels[5:20, 4:40, 4:36] = 1 if with_bone else 0
    labels[20:24, 8:36, 8:32] = 2
    if holes:
        labels[20:24, 17:26, 16:24] = 0
    return labels


@pytest.fixture
def masks(tmp_path):
    """Two cases; the second one's cartilage is worn through."""
    write_mask(tmp_path / "masks" / "a.nii.gz", knee_like(), SPACING)
    write_mask(tmp_path / "masks" / "b.nii.gz", knee_like(holes=True), SPACING)
    return tmp_path / "masks"


@pytest.fixture
def named(masks):
    (masks / "dataset.json").write_text(json.dumps({"labels": LABELS, "file_ending": ".nii.gz"}))
    return masks


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Runs the command in its folder; status, the table's rows if there are any, what was printed."""
    monkeypatch.chdir(tmp_path)

    def run(*args, masks="masks", out="out.csv"):
        Path("out.csv").unlink(missing_ok=True)
        given = [masks, "-o", out, "--workers", "1", *args]
        status = cli.main(["quantify", *map(str, given)])
        captured = capsys.readouterr()
        text = Path("out.csv").read_text() if Path("out.csv").is_file() else None
        return status, text and list(csv.DictReader(text.splitlines())), captured.out, captured.err

    return run


def test_a_folder(named, run):
    status, rows, out, err = run()
    assert (status, out) == (0, "2 cases in out.csv\n")
    assert err == "warning: no mask holds label 3, meniscus; its rows are 0\n"
    assert tuple(rows[0]) == COLUMNS
    assert [(row["case"], row["label"], row["name"]) for row in rows] == [
        (case, str(label), name) for case in "ab" for name, label in LABELS.items() if label
    ]
    bone, cartilage, meniscus, _, worn, _ = rows
    assert float(cartilage["volume_mm3"]) == pytest.approx(4 * 28 * 24 * 0.21, abs=1e-3)
    assert float(cartilage["mean_thickness_mm"]) == pytest.approx(2.4, abs=0.05)
    assert float(cartilage["bone_area_mm2"]) == pytest.approx(28 * 0.5 * 24 * 0.7, rel=0.05)
    assert float(cartilage["bare_area_mm2"]) == 0
    assert float(worn["bare_area_mm2"]) == pytest.approx(9 * 0.5 * 8 * 0.7, rel=0.1)
    assert float(worn["bone_area_mm2"]) == pytest.approx(float(cartilage["bone_area_mm2"]), rel=0.02)
    assert bone["bone_area_mm2"] == bone["bare_area_mm2"] == ""
    assert [meniscus[name] for name in COLUMNS[2:5]] == ["0.0", "", "0.0"]
    assert not list(named.parent.glob("*.partial"))


def test_without_dataset_json_labels_are_those_in_the_masks(masks, run):
    status, rows, _, err = run("-l", 2)
    assert (status, err) == (0, "")
    assert [(row["case"], row["label"], row["bone_area_mm2"]) for row in rows] == [("a", "2", ""), ("b", "2", "")]
    assert [row["label"] for row in run()[1]] == ["1", "2"] * 2


def test_a_label_that_no_mask_holds_beside_one_that_they_hold(masks, run):
    status, rows, _, err = run("-l", "2", "9")
    assert (status, [row["name"] for row in rows]) == (0, ["2", "9", "2", "9"])
    assert err == "warning: no mask holds label 9; its rows are 0\n"


def test_the_numbers_of_a_scan_are_not_all_listed(named, run):
    write_mask(named / "b.nii.gz", np.arange(1000, 1800, dtype=np.uint16).reshape(8, 10, 10), SPACING)
    status, _, _, err = run()
    assert status == 1
    assert "got 1000 1001 1002" in err
    assert " and 780 more. " in err


def test_given_bones(named, run):
    by_name = run()[1]
    (named / "dataset.json").rename(named.parent / "other.json")
    for pair in (["2=1"], ["2=1", "-djfile", "other.json"], ["femoral_cartilage=femur", "-djfile", "other.json"]):
        rows = run("--bones", *pair)[1]
        found = {(row["case"], row["label"]): row["bare_area_mm2"] for row in rows if row["label"] != "3"}
        expected = {(row["case"], row["label"]): row["bare_area_mm2"] for row in by_name if row["label"] != "3"}
        assert found == expected
    # a bone's own row is not needed
    assert run("--bones", "2=1", "-l", 2)[1][1]["bare_area_mm2"] == by_name[4]["bare_area_mm2"]


def test_bones_of_sided_cartilages_are_known():
    names = ("femur", "femoral_cartilage", "tibia", "medial_tibial_cartilage", "lateral_tibial_cartilage", "fibula")
    dataset = structures_of_dataset({name: number for number, name in enumerate(("background", *names))})
    measured = chosen((2, 4, 6), dataset)
    assert known_bones(dataset, measured) == {"femoral_cartilage": (1,), "medial_tibial_cartilage": (3,)}


def test_one_file_of_another_format(masks, run):
    write_mask(masks.parent / "one.mha", knee_like().astype(np.float32), SPACING)
    of_file, of_folder = run(masks="one.mha")[1], run()[1]
    assert [row.pop("case") for row in of_file] == ["one", "one"]
    for row, other in zip(of_file, of_folder):
        other.pop("case")
        assert {n: v and float(v) for n, v in row.items()} == pytest.approx(
            {n: v and float(v) for n, v in other.items()}
        )


def test_regions_of_a_dataset_are_structures(masks, run):
    labels = {"background": 0, "femur_with_cartilage": [1, 2], "femoral_cartilage": 2}
    (masks.parent / "d.json").write_text(json.dumps({"labels": labels}))
    rows = run("-djfile", "d.json")[1]
    assert [(row["label"], row["name"]) for row in rows[:2]] == [
        ("1+2", "femur_with_cartilage"),
        ("2", "femoral_cartilage"),
    ]
    assert float(rows[0]["volume_mm3"]) == pytest.approx((15 * 36 * 32 + 4 * 28 * 24) * 0.21, abs=1e-3)


def test_maps(named, run):
    (named / "dataset.json").write_text(
        json.dumps({"labels": {"block": 1, "top / layer": 2, "nothing": 3}, "file_ending": ".nii.gz"})
    )
    status, _, _, _ = run("--maps", "maps/of_thickness")
    folder = named.parent / "maps" / "of_thickness"
    assert status == 0
    assert sorted(path.name for path in folder.iterdir()) == [
        f"{case}_{name}.png" for case in "ab" for name in ("block", "top_layer")
    ]
    with Image.open(folder / "a_top_layer.png") as picture:
        assert picture.format == "PNG"


def test_faulty_masks_are_named_and_the_others_measured(named, run):
    expected = run()[1]
    whole = (named / "a.nii.gz").read_bytes()
    (named / "cut.nii.gz").write_bytes(whole[:-30])
    (named / "text.nii.gz").write_text("no mask")
    write_mask(named / "half.nii.gz", knee_like() * 0.5, SPACING)
    write_mask(named / "flat.nii.gz", knee_like()[21], SPACING)
    write_mask(named / "other.nii.gz", knee_like() * 3, SPACING)
    status, rows, out, err = run()
    assert status == 1
    assert rows == expected
    assert out == "2 cases in out.csv\n"
    starts = {
        "cut": "cut.nii.gz must be a whole file, got a damaged one",
        "flat": "the mask must have three axes, got 2. ",
        "half": "half.nii.gz must hold whole numbers from 0 to 65535, got 0.5. ",
        "other": "the mask must hold labels of dataset.json only, got 6. ",
        "text": "text.nii.gz must be a whole file, got a damaged one",
    }
    lines = err.splitlines()[1:]
    assert len(lines) == len(starts) + 1
    for line, (case, start) in zip(lines, starts.items()):
        assert line.startswith(f"left out {case}: {start}")
    assert lines[-1] == (
        "error: masks must be sound, got faults in cut, flat, half, other, text. Correct these cases; the other 2 are "
        "measured."
    )


def test_two_files_of_one_case(masks, run):
    write_mask(masks / "a.mha", knee_like(), SPACING)
    status, rows, _, err = run()
    assert status == 1
    assert {row["case"] for row in rows} == {"b"}
    assert err.startswith("left out a: the mask must be one file, got a.mha, a.nii.gz. ")


def test_all_masks_faulty(tmp_path, run):
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "a.nii.gz").write_text("")
    status, rows, _, err = run()
    assert (status, rows) == (1, [])
    assert err.splitlines()[0].startswith("left out a: a.nii.gz must be a whole file")


def test_a_missing_bone_is_named_and_the_case_measured(named, run):
    expected = run()[1]
    write_mask(named / "c.nii.gz", knee_like(with_bone=False), SPACING)
    status, rows, _, err = run()
    assert status == 0
    assert rows[:6] == expected
    assert rows[7]["volume_mm3"] == rows[1]["volume_mm3"]
    assert rows[7]["bone_area_mm2"] == rows[7]["bare_area_mm2"] == ""
    assert err.splitlines()[1] == (
        "warning: c: the bone of femoral_cartilage must be there for bone_area_mm2, got no voxel of label 1. Its areas "
        "are left empty."
    )


@pytest.mark.parametrize(
    ("args", "paths", "message"),
    [
        (["--workers", "0"], {}, "workers must be at least 1, got 0. "),
        ([], {"masks": "nowhere"}, "masks must be a folder or a file, got nowhere. "),
        ([], {"masks": "empty"}, "masks must hold masks (.nii.gz .nii .mha "),
        ([], {"masks": "blank"}, "masks must hold labels, got none in 1 masks. "),
        ([], {"masks": "file.txt"}, "masks must end in one of .nii.gz "),
        ([], {"out": "masks"}, "-o must be a file, got the folder masks. "),
        ([], {"out": "file.txt/out.csv"}, "-o must lead to a folder, got file.txt: "),
        (["--maps", "file.txt"], {}, "maps must lead to a folder, got file.txt: "),
        (["--maps", "masks"], {}, "maps must be another folder than masks, got masks. "),
        (["-djfile", "nowhere.json"], {}, "dataset_json (-djfile) must be a file, got nowhere.json. "),
        (["-l", "0"], {}, "labels (-l) must be of the foreground, got 0. "),
        ([], {"masks": "scan.nii.gz"}, "masks must hold labels, got 800 different numbers, which look like a scan's. "),
        ([], {"masks": "mixed"}, "masks must hold masks only, got a_0000, which looks like the scan of a, and 1 such "),
        (["--bones", "2"], {}, "--bones must be pairs CARTILAGE=BONE, got 2. "),
        (["--bones", "2=femur"], {}, "bones must hold labels' names or numbers, got 'femur' in 2=femur. "),
        (["--bones", "2=0"], {}, "bones must hold labels' names or numbers, got '0' in 2=0. "),
        (["--bones", "2=1", "-l", "1"], {}, "bones must name cartilages that are measured, got 2=1. "),
    ],
)
def test_bad_arguments(masks, run, tmp_path, args, paths, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.txt").write_text("")
    write_mask(tmp_path / "blank" / "a.nii.gz", knee_like() * 0, SPACING)
    write_mask(tmp_path / "scan.nii.gz", np.arange(1, 801, dtype=np.uint16).reshape(8, 10, 10), SPACING)
    for name in ("a", "a_0000"):
        write_mask(tmp_path / "mixed" / f"{name}.nii.gz", knee_like(), SPACING)
    status, rows, out, err = run(*args, **paths)
    assert (status, rows, out) == (1, None, "")
    assert err.startswith(f"error: {message}")
    assert err.count("\n") == 1


def test_a_folder_that_may_not_be_written(masks, run, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: "closed" not in str(path))
    status, _, _, err = run(out="closed/out.csv")
    assert status == 1
    assert err == "error: -o must lead to a writable folder, got closed. Give another folder.\n"


def test_a_failing_write_leaves_the_earlier_table(masks, run, monkeypatch):
    run()
    earlier = Path("out.csv").read_bytes()

    def failing(source, target):
        raise OSError("no space")

    monkeypatch.setattr(os, "replace", failing)
    assert cli.main(["quantify", "masks", "-o", "out.csv", "--workers", "1"]) == 1
    assert Path("out.csv").read_bytes() == earlier
    assert not list(masks.parent.glob("*.partial"))


@pytest.mark.slow
def test_in_processes(named, run, tmp_path):
    expected = run()[1]
    script = Path(sys.executable).parent / "nnunet-eas"
    arguments = ["quantify", "masks", "-o", "two.csv", "--workers", "2"]
    done = subprocess.run([script, *arguments], capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "2 cases in two.csv\n")
    assert list(csv.DictReader((tmp_path / "two.csv").read_text().splitlines())) == expected
