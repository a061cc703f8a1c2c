"""What holds for any two masks in one to three dimensions; the distances against their definition, voxel by voxel."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.ndimage import binary_erosion

from nnunet_eas.evaluation.metrics import measure
from nnunet_eas.evaluation.surfaces import surface_distances_mm

SYMMETRIC = ("dice", "iou", "hd_mm", "hd95_mm", "assd_mm", "nsd")
LENGTHS = ("hd_mm", "hd95_mm", "assd_mm")


@st.composite
def pairs(draw, min_side=1):
    """Two masks, seldom empty, and a spacing, as keyword arguments."""
    shape = draw(array_shapes(max_dims=3, min_side=min_side, max_side=6))
    reference, prediction = (draw(arrays(bool, shape)) for _ in range(2))
    spacing = tuple(draw(st.floats(0.1, 5)) for _ in shape)
    return {"reference": reference, "prediction": prediction, "spacing": spacing}


tolerances = st.floats(0, 10)


def same(numbers):
    return pytest.approx(numbers, rel=1e-9, abs=1e-9, nan_ok=True)


def by_definition(pair):
    """Distances from the words of the docstring: erosion for the surface, every voxel to every other."""
    axes = [axis for axis, edge in enumerate(pair["reference"].shape) if edge > 1]
    masks = [pair[side].squeeze() if axes else pair[side].reshape(1) for side in ("reference", "prediction")]
    step = np.array(pair["spacing"])[axes or [0]]
    points = [np.argwhere(mask & ~binary_erosion(mask)) * step for mask in masks]
    between = np.linalg.norm(points[0][:, None] - points[1][None], axis=-1)
    return between.min(axis=1), between.min(axis=0)


@given(pairs())
def test_distances_are_what_the_definition_says(pair):
    assume(pair["reference"].any() and pair["prediction"].any())
    for found, expected in zip(surface_distances_mm(**pair), by_definition(pair), strict=True):
        assert found == pytest.approx(expected, abs=1e-12)


@given(pairs(), tolerances)
def test_swapping_the_masks(pair, tolerance_mm):
    there = measure(**pair, tolerance_mm=tolerance_mm)
    swapped = {"reference": pair["prediction"], "prediction": pair["reference"], "spacing": pair["spacing"]}
    back = measure(**swapped, tolerance_mm=tolerance_mm)
    for name in SYMMETRIC:
        assert back[name] == same(there[name])
    assert back["precision"] == same(there["recall"])
    assert back["volume_ref_mm3"] == there["volume_pred_mm3"]
    assert back["volume_difference_mm3"] == -there["volume_difference_mm3"]


@given(pairs(), tolerances, st.data())
def test_flips_and_permuted_axes_change_nothing(pair, tolerance_mm, data):
    dimension = pair["reference"].ndim
    order = data.draw(st.permutations(range(dimension)))
    flips = tuple(data.draw(st.sampled_from([slice(None), slice(None, None, -1)])) for _ in order)
    turned = {side: pair[side].transpose(order)[flips] for side in ("reference", "prediction")}
    spacing = [pair["spacing"][axis] for axis in order]
    expected = measure(**pair, tolerance_mm=tolerance_mm)
    assert measure(**turned, spacing=spacing, tolerance_mm=tolerance_mm) == same(expected)


@given(pairs(min_side=2), tolerances, st.data())
def test_what_surrounds_the_masks_changes_nothing(pair, tolerance_mm, data):
    around = [(data.draw(st.integers(0, 3)), data.draw(st.integers(0, 3))) for _ in pair["spacing"]]
    padded = {side: np.pad(pair[side], around) for side in ("reference", "prediction")}
    expected = measure(**pair, tolerance_mm=tolerance_mm)
    assert measure(**padded, spacing=pair["spacing"], tolerance_mm=tolerance_mm) == same(expected)


@given(pairs(), st.sampled_from([0.25, 2, 1024]))
def test_lengths_follow_the_spacing(pair, factor):
    numbers = measure(**pair, tolerance_mm=1)
    wider = measure(**{**pair, "spacing": [s * factor for s in pair["spacing"]]}, tolerance_mm=factor)
    for name in LENGTHS:
        assert wider[name] == same(numbers[name] * factor)
    assert wider["nsd"] == same(numbers["nsd"])
    assert wider["volume_pred_mm3"] == same(numbers["volume_pred_mm3"] * factor ** len(pair["spacing"]))


@given(pairs(), tolerances)
def test_relations_between_the_numbers(pair, tolerance_mm):
    n = measure(**pair, tolerance_mm=tolerance_mm)
    assert n["iou"] == same(n["dice"] / (2 - n["dice"]))
    if n["dice"] > 0:
        assert n["dice"] == same(2 / (1 / n["precision"] + 1 / n["recall"]))
    if math.isnan(n["hd_mm"]):
        assert n["nsd"] == same(n["dice"])
        return
    largest = n["hd_mm"] * (1 + 1e-12)  # a mean is rounded
    assert 0 <= n["hd95_mm"] <= largest
    assert 0 <= n["assd_mm"] <= largest
    assert 0 <= n["nsd"] <= 1
    assert measure(**pair, tolerance_mm=n["hd_mm"])["nsd"] == 1


@given(pairs(), st.lists(tolerances, min_size=2, max_size=5))
def test_nsd_grows_with_the_tolerance(pair, some):
    values = [measure(**pair, tolerance_mm=tolerance_mm)["nsd"] for tolerance_mm in sorted(some)]
    assert all(smaller <= larger or math.isnan(smaller) for smaller, larger in itertools.pairwise(values))


@given(pairs(), tolerances)
def test_a_mask_agrees_with_itself(pair, tolerance_mm):
    assume(pair["reference"].any())
    numbers = measure(**{**pair, "prediction": pair["reference"]}, tolerance_mm=tolerance_mm)
    assert [numbers[name] for name in SYMMETRIC] == [1, 1, 0, 0, 0, 1]
