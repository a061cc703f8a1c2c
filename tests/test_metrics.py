"""Metrics against values worked out by hand; every axis and spacing is different."""

import math

import numpy as np
import pytest

from nnunet_eas.evaluation import metrics
from nnunet_eas.evaluation.metrics import (
    DEFINED_BY,
    assd_mm,
    definition,
    dice,
    hausdorff_mm,
    hd95_mm,
    iou,
    measure,
    nsd,
    precision,
    recall,
    volume_difference_mm3,
    volume_mm3,
)
from nnunet_eas.evaluation.surfaces import surface_distances_mm

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
    assert iou(**pair) == pytest.approx(3 / 7)
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


# A square of 3 x 3 and the same one column further on; rows 2 mm apart, columns 3 mm. Of the first's eight surface
# pixels four lie on the other's surface; the three of the left column are a column away from it, 3 mm; the middle of
# the right column, which is inside the other, is a row away from its upper edge, 2 mm.
SQUARE = mask(*[(row, column) for row in (1, 2, 3) for column in (1, 2, 3)], shape=(5, 7))
SHIFTED = np.roll(SQUARE, 1, axis=1)
SQUARE_DISTANCES = [0, 0, 0, 0, 2, 3, 3, 3]
SQUARES = {"reference": SQUARE, "prediction": SHIFTED, "spacing": (2, 3)}


def test_two_squares():
    assert [sorted(d) for d in surface_distances_mm(**SQUARES)] == [SQUARE_DISTANCES, SQUARE_DISTANCES]
    expected = {
        "dice": 12 / 18,
        "iou": 6 / 12,
        "precision": 6 / 9,
        "recall": 6 / 9,
        "hd_mm": 3,
        "hd95_mm": 3,
        "assd_mm": 11 / 8,
        "nsd": 10 / 16,
        "volume_ref_mm3": 54,
        "volume_pred_mm3": 54,
        "volume_difference_mm3": 0,
    }
    assert measure(**SQUARES, tolerance_mm=2) == pytest.approx(expected)


@pytest.mark.parametrize(("tolerance_mm", "expected"), [(0, 8 / 16), (1.99, 8 / 16), (2, 10 / 16), (3, 1)])
def test_nsd_includes_the_tolerance_itself(tolerance_mm, expected):
    assert nsd(**SQUARES, tolerance_mm=tolerance_mm) == expected


def test_one_step_is_within_a_tolerance_of_one_step_whatever_the_file_made_of_the_spacing():
    stored = float(np.float32(0.36458))
    assert stored > 0.36458
    one_step = {"reference": mask((0, 0), shape=(2, 3)), "prediction": mask((0, 1), shape=(2, 3))}
    assert nsd(**one_step, spacing=(1, stored), tolerance_mm=0.36458) == 1
    assert nsd(**one_step, spacing=(1, stored), tolerance_mm=0.36457) == 0


@pytest.mark.parametrize("swapped", [False, True])
def test_outliers(swapped):
    # A line of five pixels, and the same with a sixth one 10 mm off. One direction's distances are five zeros, the
    # other's five zeros and 10. The 95th percentile of six lies three quarters of the way from the fifth to the sixth;
    # of all eleven pooled it would be 5. The mean of the eleven is 10 / 11; the mean of both means would be 10 / 12.
    line = [(0, column) for column in range(5)]
    masks = [mask(*line, shape=(6, 5)), mask(*line, (5, 2), shape=(6, 5))]
    reference, prediction = masks[::-1] if swapped else masks
    pair = {"reference": reference, "prediction": prediction, "spacing": (2, 1)}
    assert hausdorff_mm(**pair) == 10
    assert hd95_mm(**pair) == pytest.approx(7.5)
    assert assd_mm(**pair) == pytest.approx(10 / 11)
    assert nsd(**pair, tolerance_mm=1) == pytest.approx(10 / 11)


def test_two_voxels_in_3d():
    # as far apart as in the Hausdorff test above; each voxel is 2 x 0.5 x 3 mm
    apart = math.sqrt(2**2 + 1**2 + 9**2)
    numbers = measure(reference=ONE, prediction=mask((1, 3, 5)), spacing=SPACING, tolerance_mm=1)
    assert [numbers[name] for name in ("hd_mm", "hd95_mm", "assd_mm")] == pytest.approx([apart] * 3)
    assert [numbers[name] for name in ("dice", "iou", "precision", "recall", "nsd")] == [0] * 5
    assert [numbers[name] for name in ("volume_ref_mm3", "volume_pred_mm3")] == [3, 3]


def test_volumes():
    two, three = mask((0, 1, 2), (0, 1, 3)), mask((4, 6, 8), (0, 0, 0), (2, 3, 4))
    assert volume_mm3(mask=two, spacing=SPACING) == 6
    assert volume_difference_mm3(reference=two, prediction=three, spacing=SPACING) == 3
    assert volume_difference_mm3(reference=three, prediction=two, spacing=SPACING) == -3


@pytest.mark.parametrize(("axis", "spacing"), [(0, (9, 2, 3)), (1, (2, 9, 3)), (2, (2, 3, 9))])
def test_a_single_slice_has_a_contour_like_a_picture(axis, spacing):
    pair = {side: np.expand_dims(SQUARES[side], axis) for side in ("reference", "prediction")}
    distances = surface_distances_mm(**pair, spacing=spacing)
    assert [sorted(d) for d in distances] == [SQUARE_DISTANCES, SQUARE_DISTANCES]
    assert volume_mm3(mask=pair["reference"], spacing=spacing) == 9 * 54


def test_an_image_of_one_voxel():
    voxel = np.ones((1, 1, 1))
    assert hausdorff_mm(reference=voxel, prediction=voxel, spacing=SPACING) == 0


NOTHING = {"dice": 0, "iou": 0, "precision": 0, "recall": 0, "nsd": 0}
UNDEFINED = dict.fromkeys(("hd_mm", "hd95_mm", "assd_mm"), math.nan)


@pytest.mark.parametrize(
    ("reference", "prediction", "expected"),
    [
        (EMPTY, EMPTY, {**dict.fromkeys(NOTHING, math.nan), **UNDEFINED, "volume_ref_mm3": 0}),
        (ONE, EMPTY, {**NOTHING, "precision": math.nan, **UNDEFINED, "volume_difference_mm3": -3}),
        (EMPTY, ONE, {**NOTHING, "recall": math.nan, **UNDEFINED, "volume_difference_mm3": 3}),
        (ONE, ONE, {**dict.fromkeys(NOTHING, 1), **dict.fromkeys(UNDEFINED, 0), "volume_difference_mm3": 0}),
    ],
)
def test_empty_masks(reference, prediction, expected):
    numbers = measure(reference=reference, prediction=prediction, spacing=SPACING, tolerance_mm=1)
    assert {name: numbers[name] for name in expected} == pytest.approx(expected, nan_ok=True)


def arguments_of(function, pair):
    taken = function.__code__.co_varnames[: function.__code__.co_kwonlyargcount]
    return {name: value for name, value in {**pair, "tolerance_mm": 1}.items() if name in taken}


@pytest.mark.parametrize("name", [name for name in DEFINED_BY if not name.startswith(("volume_ref", "volume_pred"))])
@pytest.mark.parametrize("prediction", [SHIFTED, SHIFTED * 0, SQUARE])
def test_all_at_once_gives_what_each_function_gives(name, prediction):
    pair = {**SQUARES, "prediction": prediction}
    expected = DEFINED_BY[name](**arguments_of(DEFINED_BY[name], pair))
    assert measure(**pair, tolerance_mm=1)[name] == pytest.approx(expected, nan_ok=True)


def test_the_surfaces_are_searched_once(monkeypatch):
    calls = []
    monkeypatch.setattr(metrics, "surface_distances_mm", lambda **pair: calls.append(1) or surface_distances_mm(**pair))
    assert tuple(measure(**SQUARES, tolerance_mm=1)) == tuple(DEFINED_BY)
    assert len(calls) == 1


@pytest.mark.parametrize("function", [*DEFINED_BY.values(), surface_distances_mm])
def test_a_definition_ends_before_the_arguments(function):
    text = definition(function)
    assert text.endswith(".")
    assert "Args:" not in text
    assert "  " not in text


def test_any_non_zero_value_is_inside():
    assert dice(reference=ONE * 7, prediction=ONE.astype(bool)) == 1


@pytest.mark.parametrize("metric", [dice, iou, precision, recall])
def test_shapes_must_agree(metric):
    with pytest.raises(ValueError, match=r"prediction must have the reference's shape \(5, 7, 9\), got \(9, 7, 5\)"):
        metric(reference=ONE, prediction=ONE.T)


@pytest.mark.parametrize("spacing", [(1, 1), (1, 1, 0), (1, 1, math.nan)])
def test_spacing_must_fit(spacing):
    with pytest.raises(ValueError, match="spacing must hold 3 positive numbers"):
        hausdorff_mm(reference=ONE, prediction=ONE, spacing=spacing)


@pytest.mark.parametrize("tolerance_mm", [-1, math.nan, math.inf])
def test_tolerance_must_be_a_length(tolerance_mm):
    with pytest.raises(ValueError, match="tolerance_mm must be 0 or more"):
        measure(**SQUARES, tolerance_mm=tolerance_mm)
    with pytest.raises(ValueError, match="tolerance_mm must be 0 or more"):
        nsd(**SQUARES, tolerance_mm=tolerance_mm)
