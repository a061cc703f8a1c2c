"""Voxel grids in space: turning them to one orientation, and comparing two of them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
import SimpleITK as sitk

ORIENTATION = "LPS"
"""Orientation of all that is written: the index axes run nearest to right-left, front-back and foot-head."""

SAME_PLACE_MM = 0.01


def oriented(image: sitk.Image) -> sitk.Image:
    """Permutes and flips the axes to `ORIENTATION`; every voxel keeps its place, and an oblique grid stays oblique.

    The same as SimpleITK's DICOMOrient in a sixth of its processor time.
    """
    direction = np.asarray(image.GetDirection()).reshape(3, 3)
    axes, signs = _axes_and_signs(direction)
    if axes == [0, 1, 2] and signs == [1, 1, 1]:
        return image
    array = sitk.GetArrayViewFromImage(image).transpose([2 - axis for axis in reversed(axes)])
    array = array[tuple(slice(None, None, sign) for sign in reversed(signs))]
    result = sitk.GetImageFromArray(np.ascontiguousarray(array))
    result.CopyInformation(blank(image.GetSize(), image.GetSpacing(), image.GetOrigin(), direction))
    return result


def blank(
    size_xyz: Sequence[int], spacing_xyz: Sequence[float], origin: Sequence[float], direction: np.ndarray
) -> sitk.Image:
    """The grid of an image without content, oriented; the direction has a unit vector per index axis in its columns."""
    axes, signs = _axes_and_signs(direction)
    first = np.asarray(origin, dtype=float)
    for axis, sign in zip(axes, signs):
        if sign < 0:
            first = first + direction[:, axis] * spacing_xyz[axis] * (size_xyz[axis] - 1)
    image = sitk.Image([int(size_xyz[axis]) for axis in axes], sitk.sitkUInt8)
    place(image, [spacing_xyz[axis] for axis in axes], first.tolist(), direction[:, axes] * signs)
    return image


def _axes_and_signs(direction: np.ndarray) -> tuple[list[int], list[int]]:
    """For each axis of `ORIENTATION`, the index axis that runs along it, and 1 or -1 for its sense."""
    letters = sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(direction.ravel().tolist())
    axes = [next(i for i, letter in enumerate(letters) if letter in pair) for pair in ("LR", "PA", "SI")]
    return axes, [1 if letters[axis] in ORIENTATION else -1 for axis in axes]


def place(image: sitk.Image, spacing_xyz: Sequence[float], origin: Sequence[float], direction: np.ndarray) -> None:
    """Gives `image` a pose; arguments as for `blank`. The cosines are made exactly perpendicular, which files round."""
    u, _, vt = np.linalg.svd(np.asarray(direction, dtype=float))
    image.SetSpacing([float(s) for s in spacing_xyz])
    image.SetOrigin([float(o) for o in origin])
    image.SetDirection((u @ vt).ravel().tolist())


def same_place(a: sitk.Image, b: sitk.Image, tolerance_mm: float = SAME_PLACE_MM) -> bool:
    """Whether two grids have the same size and their corners lie at the same places."""
    if a.GetSize() != b.GetSize():
        return False
    corners = list(product(*((0, n - 1) for n in a.GetSize())))
    differences = [np.subtract(a.TransformIndexToPhysicalPoint(c), b.TransformIndexToPhysicalPoint(c)) for c in corners]
    return bool(np.abs(differences).max() <= tolerance_mm)


def obliquity_deg(image: sitk.Image) -> float:
    """The largest angle between an index axis and the body axis that it follows, in degrees."""
    cosines = np.abs(np.asarray(image.GetDirection()).reshape(3, 3)).max(axis=0)
    return float(np.degrees(np.arccos(np.clip(cosines, -1, 1))).max())
