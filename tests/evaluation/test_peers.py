"""MONAI and DeepMind's surface-distance: equal where the definitions agree, and how far apart where they do not."""

import numpy as np
import pytest
import surface_distance
import torch
from monai.metrics import (
    compute_average_surface_distance,
    compute_dice,
    compute_hausdorff_distance,
    compute_iou,
    compute_surface_dice,
)
from scipy.ndimage import binary_erosion, gaussian_filter

from nnunet_eas.evaluation.metrics import measure
from nnunet_eas.evaluation.surfaces import surface_distances_mm

pytestmark = [
    # surface-distance uses SciPy's old names
    pytest.mark.filterwarnings("ignore:Please import:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:the .* is all 0:UserWarning"),
]

SPACING = (0.7, 0.36, 1.1)
TOLERANCE_MM = 1.0


def noise(seed, share, shape=(9, 11, 13)):
    return np.random.default_rng(seed).random(shape) < share


def blob(seed, shape=(14, 17, 20)):
    smooth = gaussian_filter(np.random.default_rng(seed).standard_normal(shape), 2)
    return smooth > np.quantile(smooth, 0.7)


def shell(radius, shape=(20, 24, 28)):
    grid = np.indices(shape) - (np.array(shape)[:, None, None, None] - 1) / 2
    inside = np.sqrt((grid**2).sum(axis=0)) < radius
    return inside & ~binary_erosion(inside, iterations=2)


def box(*edges, shape=(8, 10, 12)):
    mask = np.zeros(shape, dtype=bool)
    mask[tuple(slice(*edge) for edge in edges)] = True
    return mask


BOX = box((2, 5), (3, 8), (4, 9))
PAIRS = {
    "dense noise": (noise(0, 0.6), noise(1, 0.4)),
    "sparse noise": (noise(2, 0.01), noise(3, 0.05)),
    "blobs": (blob(0), blob(1)),
    "nested shells": (shell(9), shell(6)),
    "shells apart": (shell(5), np.roll(shell(5), (1, 2, 3), axis=(0, 1, 2))),
    "at the border": (box((0, 3), (0, 10), (5, 12)), box((6, 8), (2, 10), (0, 12))),
    "all and nothing but one": (np.ones((5, 6, 7), dtype=bool), box((2, 3), (2, 3), (2, 3), shape=(5, 6, 7))),
    "one voxel each": (box((0, 1), (0, 1), (0, 1)), box((7, 8), (9, 10), (11, 12))),
    "a far outlier": (BOX, BOX | box((7, 8), (9, 10), (11, 12))),
    "a plane": (box((3, 4), (0, 10), (0, 12)), box((3, 5), (1, 9), (0, 12))),
    "pictures": (blob(0)[3], blob(1)[5]),
}
pairs = pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)


def ours(pair, spacing=None, tolerance_mm=TOLERANCE_MM):
    spacing = SPACING[: pair[0].ndim] if spacing is None else spacing
    return measure(reference=pair[0], prediction=pair[1], spacing=spacing, tolerance_mm=tolerance_mm)


def monai(pair, spacing=None, tolerance_mm=TOLERANCE_MM):
    reference, prediction = (torch.from_numpy(np.ascontiguousarray(mask))[None, None] for mask in pair)
    options = {"y_pred": prediction, "y": reference, "include_background": True}
    in_mm = {**options, "spacing": SPACING[: pair[0].ndim] if spacing is None else spacing}
    return {
        "dice": compute_dice(**options).item(),
        "iou": compute_iou(**options).item(),
        "hd_mm": compute_hausdorff_distance(**in_mm).item(),
        "hd95_mm": compute_hausdorff_distance(**in_mm, percentile=95).item(),
        "assd_mm": compute_average_surface_distance(**in_mm, symmetric=True).item(),
        "nsd": compute_surface_dice(**in_mm, class_thresholds=[tolerance_mm]).item(),
    }


def deepmind(pair):
    return surface_distance.compute_surface_distances(*pair, SPACING[: pair[0].ndim])


@pairs
def test_monai(pair):
    numbers = ours(pair)
    expected = monai(pair)
    assert {name: numbers[name] for name in expected} == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_monai_takes_all_of_a_single_slice_for_surface():
    picture = (box((1, 4), (1, 4), shape=(5, 7)), box((1, 4), (2, 5), shape=(5, 7)))
    one_slice = tuple(mask[None] for mask in picture)
    expected = monai(picture, spacing=(2, 3))
    numbers = ours(one_slice, spacing=(9, 2, 3))
    assert {name: numbers[name] for name in expected} == pytest.approx(expected, rel=1e-6)
    assert expected["assd_mm"] == pytest.approx(11 / 8)
    # three pixels of nine on either side, a column of 3 mm away
    assert monai(one_slice, spacing=(9, 2, 3))["assd_mm"] == pytest.approx(9 / 9)


def test_monai_has_an_infinite_distance_to_nothing():
    pair = (BOX, np.zeros_like(BOX))
    assert monai(pair)["hd_mm"] == np.inf
    assert np.isnan(ours(pair)["hd_mm"])
    assert monai(pair)["nsd"] == ours(pair)["nsd"] == 0


@pairs
def test_dice_of_deepmind(pair):
    assert surface_distance.compute_dice_coefficient(*pair) == pytest.approx(ours(pair)["dice"])


@pairs
def test_deepmind_s_formulas_on_our_surfaces_with_equal_areas(pair):
    """But for the percentile, which is one of the distances there: the one above or below ours."""
    forth, back = (
        np.sort(distances)
        for distances in surface_distances_mm(reference=pair[0], prediction=pair[1], spacing=SPACING[: pair[0].ndim])
    )
    distances = {
        "distances_gt_to_pred": forth,
        "distances_pred_to_gt": back,
        "surfel_areas_gt": np.ones(len(forth)),
        "surfel_areas_pred": np.ones(len(back)),
    }
    numbers = ours(pair)
    assert surface_distance.compute_robust_hausdorff(distances, 100) == numbers["hd_mm"]
    surface_dice = surface_distance.compute_surface_dice_at_tolerance(distances, TOLERANCE_MM)
    assert surface_dice == pytest.approx(numbers["nsd"])
    means = surface_distance.compute_average_surface_distance(distances)
    assert np.average(means, weights=[len(forth), len(back)]) == pytest.approx(numbers["assd_mm"])

    percentile = surface_distance.compute_robust_hausdorff(distances, 95)
    for value in (percentile, numbers["hd95_mm"]):
        bounds = [max(np.percentile(d, 95, method=m) for d in (forth, back)) for m in ("lower", "higher")]
        assert bounds[0] <= value <= bounds[1]


@pairs
def test_deepmind_s_surfaces_are_less_than_a_voxel_s_diagonal_off(pair):
    """Its points, on the voxels' corners, and our voxels' centres lie within half a diagonal of each other."""
    theirs = surface_distance.compute_robust_hausdorff(deepmind(pair), 100)
    assert abs(theirs - ours(pair)["hd_mm"]) <= np.linalg.norm(SPACING[: pair[0].ndim])


def test_deepmind_s_numbers_differ():
    """Two single voxels, five steps of 2 mm apart: eight corners each, half of them only four steps apart."""
    pair = (box((1, 2), (3, 4), (2, 3)), box((1, 2), (3, 4), (7, 8)))
    theirs = surface_distance.compute_surface_distances(*pair, (1, 1, 2))
    assert surface_distance.compute_robust_hausdorff(theirs, 100) == ours(pair, (1, 1, 2))["hd_mm"] == 10
    assert surface_distance.compute_average_surface_distance(theirs) == pytest.approx((9, 9))
    assert ours(pair, (1, 1, 2))["assd_mm"] == 10
