"""The view of a volume: slices in the plane with the finest voxels, turned as radiologists look at them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

MOST_SLICES = 48
MARGIN = 1
"""Number of slices shown beyond the foreground at either end."""

_AS_COARSE = 0.99
"""Share of the coarsest spacing from which another one counts as equal: files round spacings."""

# by the two sides between which slices are counted: the orientation of (columns, rows, slices), and the caption
_PLANES = {
    "RL": ("PIL", "sagittal, head up, front is left"),
    "AP": ("LIP", "coronal, head up, patient's right is left"),
    "IS": ("LPS", "axial, patient's right is left"),
}


@dataclass(frozen=True)
class View:
    """Slices of one image, with two axes or three."""

    orientation: str | None  # the sides towards which columns, rows and slices run; None with two axes
    direction: Sequence[float]  # SimpleITK's direction of the image
    backwards: bool  # whether the slices run against the file's order
    spacing: tuple[float, float]  # mm of (rows, columns)
    caption: str  # plane and directions in words

    def turned(self, array: np.ndarray) -> np.ndarray:
        """The array as (slices, rows, columns), turned for the viewer."""
        if self.orientation is None:
            return array[None]
        image = sitk.GetImageFromArray(array)
        image.SetDirection(self.direction)
        return sitk.GetArrayFromImage(sitk.DICOMOrient(image, self.orientation))

    def number(self, index: int, slices: int) -> int:
        """The number in the file, from 1, of a slice in a turned array."""
        return slices - index if self.backwards else index + 1


def view_of(spacing: Sequence[float], direction: Sequence[float]) -> View:
    """The view of an image, with its spacing in array order; oblique images are shown along their own axes."""
    if len(spacing) == 2:
        return View(None, direction, False, (spacing[0], spacing[1]), "as in the file")
    axis = next(a for a in range(3) if spacing[a] >= _AS_COARSE * max(spacing))
    side = sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(direction)[2 - axis]
    orientation, caption = next(plane for sides, plane in _PLANES.items() if side in sides)
    voxel = sitk.Image(1, 1, 1, sitk.sitkUInt8)
    voxel.SetSpacing(spacing[::-1])
    voxel.SetDirection(direction)
    width, height, _ = sitk.DICOMOrient(voxel, orientation).GetSpacing()
    return View(orientation, direction, side not in "LPS", (height, width), caption)


def shown_slices(filled: np.ndarray, first: int) -> list[int]:
    """The slices to show: those with foreground and `MARGIN` more, evenly thinned out to `MOST_SLICES`.

    Args:
        filled: For each slice, whether truth or a prediction has foreground.
        first: The slice that is seen first, which is always shown.
    """
    inside = np.flatnonzero(filled)
    if not inside.size:
        return [first]
    around = (inside[:, None] + np.arange(-MARGIN, MARGIN + 1)).ravel()
    wanted = np.unique(around[(around >= 0) & (around < len(filled))]).tolist()
    if len(wanted) <= MOST_SLICES:
        return wanted
    even = {wanted[round(step * (len(wanted) - 1) / (MOST_SLICES - 1))] for step in range(MOST_SLICES)}
    nearest = min(even, key=lambda index: (abs(index - first), index))
    return sorted(even - {nearest} | {first})


def start_slice(truth: np.ndarray, predictions: Iterable[np.ndarray]) -> int:
    """The slice with most foreground voxels in truth, or in the predictions where truth has none; else the middle."""
    for counts in (truth, sum(predictions, np.zeros_like(truth))):
        if counts.any():
            return int(counts.argmax())
    return len(truth) // 2
