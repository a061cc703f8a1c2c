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

_PLANES = (
    "axial, patient's right is left",
    "coronal, head up, patient's right is left",
    "sagittal, head up, front is left",
)


@dataclass(frozen=True)
class View:
    """Slices of one image, with two axes or three."""

    axis: int | None  # the array's axis across the slices; None with two axes
    turn: tuple[int, ...]  # order of the array's axes as (slices, rows, columns)
    flipped: tuple[bool, bool, bool]  # whether each of these three runs backwards
    spacing: tuple[float, float]  # mm of (rows, columns)
    caption: str  # plane and directions in words

    def turned(self, array: np.ndarray) -> np.ndarray:
        """The array as (slices, rows, columns), turned for the viewer; it shares the array's memory."""
        stack = array.transpose(self.turn) if self.axis is not None else array[None]
        return stack[tuple(slice(None, None, -1) if backwards else slice(None) for backwards in self.flipped)]

    def number(self, index: int, slices: int) -> int:
        """The number in the file, from 1, of a slice in a turned array."""
        return slices - index if self.flipped[0] else index + 1


def view_of(spacing: Sequence[float], direction: Sequence[float]) -> View:
    """The view of an image.

    Args:
        spacing: mm, in array order.
        direction: SimpleITK's direction. Oblique images are shown along their own axes.
    """
    if len(spacing) == 2:
        return View(None, (0, 1), (False, False, False), (spacing[0], spacing[1]), "as in the file")
    axis = next(a for a in range(3) if spacing[a] >= _AS_COARSE * max(spacing))
    # the side that each of the array's axes runs towards: one of left-right, front-back, feet-head (0, 1, 2)
    sides = sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(direction)[::-1]
    world = ["RLAPIS".index(side) // 2 for side in sides]
    forward = [side in "LPS" for side in sides]
    # rows lead down, or to the back where no axis does; columns to the back or to the patient's left
    rows, columns = sorted((a for a in range(3) if a != axis), key=lambda a: -world[a])
    flip_rows = forward[rows] if world[rows] == 2 else not forward[rows]
    flips = (not forward[axis], flip_rows, not forward[columns])
    caption = _PLANES[2 - world[axis]]
    return View(axis, (axis, rows, columns), flips, (spacing[rows], spacing[columns]), caption)


def shown_slices(filled: np.ndarray, first: int) -> list[int]:
    """The slices to show: those with foreground and `MARGIN` more, evenly thinned out to `MOST_SLICES`.

    Args:
        filled: For each slice, whether truth or a prediction has foreground.
        first: The slice that is seen first, which is always shown.
    """
    inside = np.flatnonzero(filled)
    if not inside.size:
        return [first]
    low, high = max(int(inside[0]) - MARGIN, 0), min(int(inside[-1]) + MARGIN, len(filled) - 1)
    wanted = [index for index in range(low, high + 1) if filled[max(index - MARGIN, 0) : index + MARGIN + 1].any()]
    if len(wanted) <= MOST_SLICES:
        return wanted
    even = {wanted[round(step * (len(wanted) - 1) / (MOST_SLICES - 1))] for step in range(MOST_SLICES)}
    nearest = min(even, key=lambda index: (abs(index - first), index))
    return sorted(even - {nearest} | {first})


def start_slice(truth: np.ndarray, predictions: Iterable[np.ndarray]) -> int:
    """The slice with most foreground in truth, or in the predictions where truth has none; else the middle one.

    Args:
        truth: Number of foreground voxels for each slice.
        predictions: The same for each prediction.
    """
    for counts in (truth, sum(predictions, np.zeros_like(truth))):
        if counts.any():
            return int(counts.argmax())
    return len(truth) // 2
