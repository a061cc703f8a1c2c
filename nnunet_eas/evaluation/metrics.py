"""One number per function, from one pair of binary masks. What an empty mask gives is part of each definition.

Masks are arrays of equal shape and any dimension; non-zero means inside. ``spacing`` is mm, in array order.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import binary_erosion, distance_transform_edt


def dice(*, reference: np.ndarray, prediction: np.ndarray) -> float:
    """Dice similarity coefficient, 2 |R and P| / (|R| + |P|), 0..1. NaN where both masks are empty, 0 where one is."""
    reference, prediction = _masks(reference, prediction)
    common, total = np.count_nonzero(reference & prediction), np.count_nonzero(reference) + np.count_nonzero(prediction)
    return _ratio(2 * common, total)


def precision(*, reference: np.ndarray, prediction: np.ndarray) -> float:
    """Share of the prediction that is right, |R and P| / |P|, 0..1. NaN where the prediction is empty."""
    reference, prediction = _masks(reference, prediction)
    return _ratio(np.count_nonzero(reference & prediction), np.count_nonzero(prediction))


def recall(*, reference: np.ndarray, prediction: np.ndarray) -> float:
    """Share of the reference that was found, |R and P| / |R|, 0..1. NaN where the reference is empty."""
    reference, prediction = _masks(reference, prediction)
    return _ratio(np.count_nonzero(reference & prediction), np.count_nonzero(reference))


def hausdorff_mm(*, reference: np.ndarray, prediction: np.ndarray, spacing: Sequence[float]) -> float:
    """Hausdorff distance of the surfaces in mm: the larger of the two directions' largest surface distances.

    NaN where a mask is empty: there is no distance to nothing. Surfaces are as in ``surface_distances_mm``.
    """
    to_prediction, to_reference = surface_distances_mm(reference=reference, prediction=prediction, spacing=spacing)
    if not to_prediction.size or not to_reference.size:
        return float("nan")
    return float(max(to_prediction.max(), to_reference.max()))


def surface_distances_mm(
    *, reference: np.ndarray, prediction: np.ndarray, spacing: Sequence[float]
) -> tuple[np.ndarray, np.ndarray]:
    """Distance from each surface voxel of one mask to the nearest surface voxel of the other, in mm, centre to centre.

    A surface voxel is one of the mask's voxels with a face neighbour outside it; beyond the array's edge is outside.

    Args:
        reference: Mask.
        prediction: Mask of the same shape.
        spacing: mm, in array order.

    Returns:
        (from the reference's surface to the prediction's, from the prediction's to the reference's), one-dimensional;
        both of length 0 where a mask is empty.

    Raises:
        ValueError: Where the shapes differ or the spacing does not fit them.
    """
    reference, prediction = _masks(reference, prediction)
    if len(spacing) != reference.ndim or not all(0 < s < np.inf for s in spacing):
        raise ValueError(
            f"spacing must hold {reference.ndim} positive numbers, got {tuple(spacing)}. Give mm in the array's order."
        )
    if not reference.any() or not prediction.any():
        return np.empty(0), np.empty(0)
    # Both surfaces lie in the box around both masks, so the distances in it are the distances in the whole image.
    box = _bounding_box(reference | prediction)
    surfaces = [mask[box] & ~binary_erosion(mask[box]) for mask in (reference, prediction)]
    to_reference, to_prediction = (distance_transform_edt(~surface, sampling=spacing) for surface in surfaces)
    return to_prediction[surfaces[0]], to_reference[surfaces[1]]


def _masks(reference: np.ndarray, prediction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if reference.shape != prediction.shape:
        raise ValueError(
            f"prediction must have the reference's shape {reference.shape}, got {prediction.shape}. "
            "Compare masks on the same grid."
        )
    return reference != 0, prediction != 0


def _ratio(part: int | np.integer, whole: int | np.integer) -> float:
    return float(part / whole) if whole else float("nan")


def _bounding_box(mask: np.ndarray) -> tuple[slice, ...]:
    """The smallest box that holds every voxel of a mask that is not empty."""
    axes = range(mask.ndim)
    along = (np.flatnonzero(mask.any(axis=tuple(other for other in axes if other != axis))) for axis in axes)
    return tuple(slice(int(inside[0]), int(inside[-1]) + 1) for inside in along)
