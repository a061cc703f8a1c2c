"""Folds: as nnU-Net draws them, official lists, a file; no patient on both sides."""

import json

import numpy as np
import pytest
from nnunetv2.utilities.crossval_split import generate_crossval_split

from dataset_conversion.writing.splits import (
    nnunet_folds,
    refuse_shared_patients,
    split_from_file,
    split_warnings,
    two_fold,
)

ONE_SCAN = {f"case_{n}": f"patient_{n}" for n in range(7)}
TWO_SCANS = {f"case_{n}_{visit}": f"patient_{n}" for n in range(7) for visit in "ab"}


def test_patients_with_one_scan_are_left_to_nnunet():
    assert nnunet_folds(ONE_SCAN) is None


def test_patients_fall_into_the_folds_that_nnunet_would_draw_from_them():
    folds = nnunet_folds(TWO_SCANS)
    drawn = generate_crossval_split(sorted(set(TWO_SCANS.values())), seed=12345, n_splits=5)
    assert len(folds) == 5
    for fold, patients in zip(folds, drawn):
        for side in ("train", "val"):
            assert {TWO_SCANS[case] for case in fold[side]} == {str(p) for p in np.asarray(patients[side])}
        assert sorted(fold["train"] + fold["val"]) == sorted(TWO_SCANS)
    refuse_shared_patients(folds, TWO_SCANS)


def test_too_few_patients():
    with pytest.raises(ValueError, match="Five folds need at least 5 patients, got 2"):
        nnunet_folds({"a1": "a", "a2": "a", "b1": "b"})


def test_two_fold_lists():
    lists = (["patient_0", "patient_1"], [f"patient_{n}" for n in range(2, 7)])
    first, second = two_fold(ONE_SCAN, lists)
    assert first["train"] == second["val"] == ["case_0", "case_1"]
    assert first["val"] == second["train"]


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        ((), "needs the archive's two lists"),
        ((["patient_0"], ["patient_1"]), "got patient_2, .* in none or both"),
        ((sorted(ONE_SCAN.values()), ["patient_3"]), "got patient_3 in none or both"),
    ],
)
def test_wrong_lists(lists, message):
    with pytest.raises(ValueError, match=message):
        two_fold(ONE_SCAN, lists)


def write(tmp_path, content):
    file = tmp_path / "split.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


def test_a_file_of_cases_or_patients(tmp_path):
    file = write(tmp_path, [{"train": ["case_0_a", "case_0_b"], "val": ["patient_3"]}])
    assert split_from_file(TWO_SCANS, file) == [{"train": ["case_0_a", "case_0_b"], "val": ["case_3_a", "case_3_b"]}]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r'must hold \[\{"train"'),
        ([{"train": []}], r'must hold \[\{"train"'),
        ([{"train": ["nobody"], "val": ["patient_1"]}], "got nobody. Take them out"),
        ([{"train": ["case_2_a"], "val": ["case_2_b"]}], "both sides of a fold, got patient_2 in fold 0"),
    ],
)
def test_a_wrong_file(tmp_path, content, message):
    with pytest.raises(ValueError, match=message):
        split_from_file(TWO_SCANS, write(tmp_path, content))


def test_folds_beyond_the_file_are_warned_of():
    assert split_warnings(None, 5, "Dataset001_Knees") == []
    assert split_warnings([{}] * 5, 5, "Dataset001_Knees") == []
    (warning,) = split_warnings([{}] * 2, 5, "Dataset001_Knees")
    assert "holds 2 fold(s): train 0 to 1 only" in warning
