"""Plans and dataset.json with values that nnU-Net would not have written."""

import copy
import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnunet_eas.plans.check import check_dataset, check_plans

DATASET = {"channel_names": {"0": "MR"}, "labels": {"background": 0, "cartilage": 1}, "file_ending": ".nii.gz"}
BAD_VALUES = [None, [], {}, "abc", -1, math.nan, [0.5, math.nan, 1.0], [True, 2], {"a": [1]}]


@pytest.fixture(scope="session")
def good():
    return json.loads((Path(__file__).parent / "plans_of_format_1.json").read_text(encoding="utf-8"))


@pytest.fixture
def plans(good):
    return copy.deepcopy(good)


def test_good_plans_pass(plans):
    before = copy.deepcopy(plans)
    check_plans(plans)
    assert plans == before


@pytest.mark.parametrize("content", [[], None, 3, "plans", {}, {"configurations": []}])
def test_no_plans(content):
    with pytest.raises(ValueError, match=r"plans\.json must be an object with configurations, got "):
        check_plans(content)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (
            "spacing",
            [0.5, math.nan],
            r"configuration 2d: spacing must be 2 or 3 numbers above 0, in mm, got \[0\.5, nan",
        ),
        ("spacing", [0.5, 0.0], "spacing must be 2 or 3 numbers above 0"),
        ("spacing", [0.5, 0.5, 0.5], "patch_size and spacing must have as many axes"),
        ("patch_size", "abc", "patch_size must be 2 or 3 numbers of voxels from 1 on, got 'abc'"),
        ("patch_size", [64, 0], "patch_size must be"),
        ("batch_size", 0, "batch_size must be a number of images from 1 on, got 0"),
        ("normalization_schemes", "ZScore", "normalization_schemes must be a list of texts"),
        ("architecture", [], "architecture must be an object"),
        ("architecture", {}, "architecture must have network_class_name"),
        ("inherits_from", "nowhere", "got 2d, which nnU-Net can't read"),
        ("inherits_from", "2d", "got 2d, which nnU-Net can't read"),
    ],
)
def test_a_value_of_a_configuration(plans, key, value, message):
    plans["configurations"]["2d"][key] = value
    with pytest.raises(ValueError, match=message):
        check_plans(plans)


@pytest.mark.parametrize("key", ["spacing", "patch_size", "data_identifier"])
def test_a_missing_value(plans, key):
    del plans["configurations"]["2d"][key]
    with pytest.raises(ValueError, match=f"configuration 2d must have {key}, got "):
        check_plans(plans)


@given(data=st.data())
def test_any_bad_value_is_named(good, data):
    """Somewhere in the plans another value stands; nothing but a ValueError of one line may come."""
    plans = copy.deepcopy(good)
    place = plans
    while True:
        key = data.draw(st.sampled_from(list(place) if isinstance(place, dict) else list(range(len(place)))))
        if not isinstance(place[key], (dict, list)) or not place[key] or data.draw(st.booleans()):
            break
        place = place[key]
    place[key] = data.draw(st.sampled_from(BAD_VALUES))
    try:
        check_plans(plans)
    except ValueError as error:
        message = str(error)
    else:
        return
    assert message.startswith("plans.json")
    assert "\n" not in message


def test_good_dataset_passes():
    check_dataset(DATASET)
    check_dataset({"modality": {"0": "MR"}, **{k: v for k, v in DATASET.items() if k != "channel_names"}})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": []}, "labels must be an object"),
        ({"labels": {"background": 0}}, "labels must be"),
        ({"file_ending": "nii"}, "file_ending must be an ending such as"),
        ({"file_ending": None}, "file_ending must be"),
        ({"channel_names": ["MR"]}, "channel_names must name channels 0, 1"),
        ({"channel_names": {"1": "MR"}}, "channel_names must name channels 0, 1"),
        ({"channel_names": {}}, "channel_names must name channels 0, 1"),
    ],
)
def test_a_value_of_a_dataset(changes, message):
    with pytest.raises(ValueError, match=rf"dataset\.json: {message}"):
        check_dataset({**DATASET, **changes})


@pytest.mark.parametrize("content", [[], None, "labels"])
def test_no_dataset(content):
    with pytest.raises(ValueError, match=r"dataset\.json must be an object, got "):
        check_dataset(content)
