"""What dataset.json and -l say is compared."""

import json

import pytest

from nnunet_eas.evaluation.structures import Structures, chosen, read_dataset_json, structures_of_dataset

LABELS = {"background": 0, "whole": [1, 2], "core": 2, "ignore": 3}


def test_names_regions_and_the_ignore_label():
    structures = structures_of_dataset(LABELS)
    assert structures == Structures({"whole": (1, 2), "core": (2,)}, ignore=3, known=frozenset({0, 1, 2, 3}))
    assert structures_of_dataset({"background": [0], "a": 1}) == Structures({"a": (1,)}, known=frozenset({0, 1}))


@pytest.mark.parametrize("region", [[0, 1], [1, 3]])
def test_regions_are_of_foreground(region):
    with pytest.raises(
        ValueError,
        match=r"a region in dataset.json must hold neither the background nor the ignore label, got .* for whole",
    ):
        structures_of_dataset({**LABELS, "whole": region})


def test_chosen_labels_go_by_the_dataset_s_names():
    structures = chosen([2, 1, 2], structures_of_dataset(LABELS))
    assert structures.values == {"core": (2,), "1": (1,)}
    assert structures.ignore == 3
    assert chosen([7], Structures({})).values == {"7": (7,)}


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([2, 7, 9], r"labels \(-l\) must be in dataset.json, got 7 9. Choose from 1 2."),
        ([0], r"labels \(-l\) must be of the foreground, got 0"),
        ([-1], r"labels \(-l\) must be of the foreground, got -1"),
        ([3], r"labels \(-l\) must be of the foreground, got 3"),
    ],
)
def test_labels_that_cannot_be_chosen(labels, message):
    with pytest.raises(ValueError, match=message):
        chosen(labels, structures_of_dataset(LABELS))


@pytest.mark.parametrize("content", ["{}", "[]", json.dumps({"labels": {"0": "background", "1": "core"}})])
def test_what_is_no_dataset_json(tmp_path, content):
    path = tmp_path / "dataset.json"
    path.write_text(content)
    with pytest.raises(
        ValueError, match=r"dataset_json \(-djfile\) must be nnU-Net v2's dataset.json with labels as name"
    ):
        read_dataset_json(path)


def test_dataset_json_must_be_json(tmp_path):
    (tmp_path / "dataset.json").write_text("nonsense")
    with pytest.raises(ValueError, match=r"dataset_json \(-djfile\) must be whole JSON, got "):
        read_dataset_json(tmp_path / "dataset.json")


def test_dataset_json_must_be_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"dataset_json \(-djfile\) must be a file"):
        read_dataset_json(tmp_path / "dataset.json")
