"""Distances between two masks' surfaces, voxel by voxel, in mm."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import find_objects
from scipy.spatial import cKDTree

_LEAF = 32
"""Points in a leaf of the search tree. On surfaces of knees this number and an unbalanced tree are fastest."""


def surface_distances_mm(
    *, reference: np.ndarray, prediction: np.ndarray, spacing: Sequence[float]
) -> tuple[np.ndarray, np.ndarray]:
    """Distance from each surface voxel of one mask to the nearest surface voxel of the other, in mm, centre to centre.

    A surface voxel is one of the mask's voxels with a face neighbour outside it; beyond the array's edge is outside.
    Along an axis of one voxel there are no neighbours: a single slice has a contour, not two flat sides.

    MONAI's surfaces are the same but for that single slice, all of which is surface there. DeepMind's surface-distance
    puts points on the voxels' corners instead: any distance there can differ by up to one voxel's diagonal.

    Returns:
        (from the reference's surface to the prediction's, from the prediction's to the reference's), one-dimensional;
        both of length 0 where a mask is empty.
    """
    reference, prediction = as_masks(reference, prediction)
    check_spacing(spacing, reference.ndim)
    if not reference.any() or not prediction.any():
        return np.empty(0), np.empty(0)
    axes = [axis for axis, edge in enumerate(reference.shape) if edge > 1] or [0]
    shape = [reference.shape[axis] for axis in axes]
    reference, prediction = reference.reshape(shape), prediction.reshape(shape)
    # both surfaces lie in the box around both masks
    (box,) = find_objects((reference | prediction).view(np.uint8))
    first, second = _surface(reference[box]), _surface(prediction[box])
    step = np.asarray(spacing, dtype=float)[axes]
    return _to_nearest(first, second, step), _to_nearest(second, first, step)


def as_masks(reference: np.ndarray, prediction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as booleans, True inside; raises ValueError where their shapes differ."""
    if reference.shape != prediction.shape:
        raise ValueError(
            f"prediction must have the reference's shape {reference.shape}, got {prediction.shape}. "
            "Compare masks on the same grid."
        )
    return reference != 0, prediction != 0


def check_spacing(spacing: Sequence[float], dimension: int) -> None:
    """Raises ValueError unless there is a positive number of mm for each axis."""
    if len(spacing) != dimension or not all(0 < s < np.inf for s in spacing):
        raise ValueError(
            f"spacing must hold {dimension} positive numbers, got {tuple(spacing)}. Give mm in the array's order."
        )


def _surface(mask: np.ndarray) -> np.ndarray:
    """The mask's voxels that have a face neighbour outside; binary erosion gives the same in five times the time."""
    padded = np.pad(mask, 1)
    surrounded = mask.copy()
    for axis in range(mask.ndim):
        for start in (0, 2):
            neighbours = [slice(1, -1)] * mask.ndim
            neighbours[axis] = slice(start, start + mask.shape[axis])
            surrounded &= padded[tuple(neighbours)]
    return mask & ~surrounded


def _to_nearest(surface: np.ndarray, other: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Distance from each voxel of a surface to the nearest one of the other, in mm.

    A search tree over the surfaces' voxels takes a tenth of the time of a distance transform of the box. Where the
    surfaces coincide there is nothing to search.
    """
    points, targets = np.argwhere(surface), np.argwhere(other)
    distances = np.zeros(len(points))
    apart = ~other[surface]
    tree = cKDTree(targets * spacing, leafsize=_LEAF, balanced_tree=False, compact_nodes=False)
    _, nearest = tree.query(points[apart] * spacing)
    # from whole steps, so that the distance does not depend on the position of the two voxels in the image
    steps = points[apart] - targets[nearest]
    distances[apart] = np.sqrt(((steps * spacing) ** 2).sum(axis=1))
    return distances
