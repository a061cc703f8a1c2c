"""Metrics against values worked out by hand; every axis and spacing is different."""

import math

import numpy as np
import pytest

from nnunet_eas.evaluation.metrics import dice, hausdorff_mm, precision, recall, surface_distances_mm

SHAPE = (5, 7, 9)
SPACING = (2.0, 0.5, 3.0)


def mask(*voxels, shape=SHAPE):
    result = np.zeros(shape, dtype=np.uint8)
    for voxel in voxels:
        result[voxel] = 1
    return result


EMPTY = mask()
ONE = mask((0, 1, 2))


def test_overlap():
    reference = np.array([[1, 1, 0, 0], [1, 1, 0, 0]])  # 4
    prediction = np.array([[0, 1, 1, 1], [1, 1, 1, 0]])  # 6, of which 3 are right
    pair = {"reference": reference, "prediction": prediction}
    assert dice(**pair) == pytest.approx(2 * 3 / (4 + 6))
    assert precision(**pair) == pytest.approx(3 / 6)
    assert recall(**pair) == pytest.approx(3 / 4)


def test_hausdorff_uses_the_spacing_of_each_axis():
    # 1 step of 2 mm, 2 steps of 0.5 mm, 3 steps of 3 mm
    distance = hausdorff_mm(reference=ONE, prediction=mask((1, 3, 5)), spacing=SPACING)
    assert distance == pytest.approx(math.sqrt(2**2 + 1**2 + 9**2))


@pytest.mark.parametrize("swapped", [False, True])
def test_hausdorff_is_the_larger_direction(swapped):
    # One mask has a second voxel, 4 steps of 3 mm away from the voxel that both have; the other direction is 0.
    masks = [ONE, mask((0, 1, 2), (0, 1, 6))]
    reference, prediction = masks[::-1] if swapped else masks
    assert hausdorff_mm(reference=reference, prediction=prediction, spacing=SPACING) == pytest.approx(12)


def test_distances_have_a_direction():
    to_prediction, to_reference = surface_distances_mm(
        reference=ONE, prediction=mask((0, 1, 2), (0, 1, 6)), spacing=SPACING
    )
    assert to_prediction.tolist() == [0]
    assert sorted(to_reference.tolist()) == [0, 12]


def test_a_hole_has_a_surface():
    solid = np.ones((5, 5, 5))
    hollow = solid.copy()
    hollow[2, 2, 2] = 0
    # The hole's walls lie one step below the cube's surface; the farthest are those of the widest axis, 4 mm, for which
    # the two steps of 2 mm along the first axis are no nearer.
    assert hausdorff_mm(reference=solid, prediction=hollow, spacing=(2, 3, 4)) == pytest.approx(4)


def test_the_image_s_edge_is_a_surface():
    full = np.ones((3, 4))
    part = full.copy()
    part[:, 3] = 0
    # The last column lies one step of 5 mm beyond the part; the inner voxel of the full mask is no surface.
    assert hausdorff_mm(reference=full, prediction=part, spacing=(1, 5)) == pytest.approx(5)


def test_where_the_masks_lie_in_the_image_is_all_the_same():
    rng = np.random.default_rng(0)
    small = [rng.random((4, 5, 6)) > 0.6 for _ in range(2)]
    large = [np.pad(m, ((3, 1), (0, 7), (2, 5))) for m in small]
    distances = [hausdorff_mm(reference=r, prediction=p, spacing=SPACING) for r, p in (small, large)]
    assert distances[0] == distances[1] > 0


@pytest.mark.parametrize(
    ("reference", "prediction", "expected"),
    [
        (EMPTY, EMPTY, (math.nan, math.nan, math.nan, math.nan)),
        (ONE, EMPTY, (0, math.nan, 0, math.nan)),
        (EMPTY, ONE, (0, 0, math.nan, math.nan)),
        (ONE, ONE, (1, 1, 1, 0)),
    ],
)
def test_empty_masks(reference, prediction, expected):
    pair = {"reference": reference, "prediction": prediction}
    values = (dice(**pair), precision(**pair), recall(**pair), hausdorff_mm(**pair, spacing=SPACING))
    assert values == pytest.approx(expected, nan_ok=True)


def test_any_non_zero_value_is_inside():
    assert dice(reference=ONE * 7, prediction=ONE.astype(bool)) == 1


@pytest.mark.parametrize("metric", [dice, precision, recall])
def test_shapes_must_agree(metric):
    with pytest.raises(ValueError, match=r"prediction must have the reference's shape \(5, 7, 9\), got \(9, 7, 5\)"):
        metric(reference=ONE, prediction=ONE.T)


@pytest.mark.parametrize("spacing", [(1, 1), (1, 1, 0), (1, 1, math.nan)])
def test_spacing_must_fit(spacing):
    with pytest.raises(ValueError, match="spacing must hold 3 positive numbers"):
        hausdorff_mm(reference=ONE, prediction=ONE, spacing=spacing)
