"""Which folds and configurations a dataset has."""

import json

import pytest

from nnunet_eas.crossval.dataset import check_cases, folds_of, stages_of

PLAN = {
    "configurations": {
        "2d": {"data_identifier": "nnUNetPlans_2d"},
        "3d_lowres": {"data_identifier": "nnUNetPlans_3d_lowres"},
        "3d_fullres": {"data_identifier": "nnUNetPlans_3d_fullres"},
        "3d_cascade_fullres": {"inherits_from": "3d_fullres", "previous_stage": "3d_lowres"},
        "3d_planned_only": {"data_identifier": "nnUNetPlans_elsewhere"},
    }
}


@pytest.fixture
def preprocessed(tmp_path):
    for name in ("2d", "3d_lowres", "3d_fullres"):
        (tmp_path / f"nnUNetPlans_{name}").mkdir()
        (tmp_path / f"nnUNetPlans_{name}" / "case.b2nd").touch()
    (tmp_path / "nnUNetPlans.json").write_text(json.dumps(PLAN))
    return tmp_path


def test_the_split_file_says_how_many_folds_there_are(tmp_path):
    assert folds_of(tmp_path, None) == [0, 1, 2, 3, 4]
    (tmp_path / "splits_final.json").write_text(json.dumps([{"train": [], "val": []}] * 2))
    assert folds_of(tmp_path, None) == [0, 1]
    assert folds_of(tmp_path, [1, 1]) == [1]
    with pytest.raises(ValueError, match=r"--folds must be 0 to 1, .* got \[2\]"):
        folds_of(tmp_path, [0, 2])


def test_fewer_cases_than_folds(tmp_path):
    check_cases(tmp_path)  # not preprocessed: stages_of says that
    (tmp_path / "gt_segmentations").mkdir()
    for case in "abcd":
        (tmp_path / "gt_segmentations" / f"{case}.nii.gz").touch()
    with pytest.raises(ValueError, match=r"must have at least 5 training cases for nnU-Net's 5 folds, got 4 in"):
        check_cases(tmp_path)
    (tmp_path / "splits_final.json").write_text(json.dumps([{"train": [], "val": []}] * 2))
    check_cases(tmp_path)


def test_a_cascade_comes_behind_its_first_stage(preprocessed):
    assert stages_of(preprocessed, "nnUNetPlans", ["2d", "2d", "3d_fullres"]) == [["2d", "3d_fullres"]]
    wanted = ["3d_cascade_fullres", "2d", "3d_lowres"]
    assert stages_of(preprocessed, "nnUNetPlans", wanted) == [["2d", "3d_lowres"], ["3d_cascade_fullres"]]


@pytest.mark.parametrize(
    ("plans", "configurations", "error", "said"),
    [
        ("otherPlans", ["2d"], FileNotFoundError, "-p must name plans"),
        ("nnUNetPlans", ["3d"], ValueError, "-c must name configurations of nnUNetPlans, got 3d"),
        ("nnUNetPlans", ["3d_planned_only"], FileNotFoundError, "3d_planned_only must be preprocessed"),
        ("nnUNetPlans", ["3d_cascade_fullres"], ValueError, "-c must hold 3d_lowres"),
    ],
)
def test_what_can_not_be_trained_is_named(preprocessed, plans, configurations, error, said):
    with pytest.raises(error, match=said):
        stages_of(preprocessed, plans, configurations)
