"""How a volume is cut: the plane with the finest voxels, turned as radiologists look at it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

MOST_SLICES = 48
MARGIN = 1
"""Slices that are shown beyond the foreground."""

_AS_COARSE = 0.99
"""Spacings that differ by less than a per cent are equal: files round them."""

_PLANES = (
    "axial, patient's right is left",
    "coronal, head up, patient's right is left",
    "sagittal, head up, front is left",
)


@dataclass(frozen=True)
class View:
    """Slices of one image, of two axes or three.

    Attributes:
        axis: Of the array, along which it is cut; None of two axes.
        turn: Order of the array's axes as (slices, rows, columns).
        flipped: Which of these three run backwards.
        spacing: mm of (rows, columns).
        caption: What one sees.
    """

    axis: int | None
    turn: tuple[int, ...]
    flipped: tuple[bool, bool, bool]
    spacing: tuple[float, float]
    caption: str

    def turned(self, array: np.ndarray) -> np.ndarray:
        """The array as (slices, rows, columns), ready to be looked at; a view."""
        stack = array.transpose(self.turn) if self.axis is not None else array[None]
        return stack[tuple(slice(None, None, -1) if backwards else slice(None) for backwards in self.flipped)]

    def number(self, index: int, slices: int) -> int:
        """The number in the file, from 1, of a turned array's slice."""
        return slices - index if self.flipped[0] else index + 1


def view_of(spacing: Sequence[float], direction: Sequence[float]) -> View:
    """The view of an image.

    Args:
        spacing: mm, in array order.
        direction: SimpleITK's, of LPS positions. Oblique images are shown along their own axes.
    """
    if len(spacing) == 2:
        return View(None, (0, 1), (False, False, False), (spacing[0], spacing[1]), "as in the file")
    axis = next(a for a in range(3) if spacing[a] >= _AS_COARSE * max(spacing))
    # which of left-right, front-back, feet-head (0, 1, 2) each of the array's axes runs along, and which way
    matrix = np.reshape(direction, (3, 3))[:, ::-1]
    world = _nearest_axes(matrix)
    forward = [bool(matrix[world[a], a] > 0) for a in range(3)]
    # rows lead down, or to the back where no axis does; columns to the back or to the patient's left
    rows, columns = sorted((a for a in range(3) if a != axis), key=lambda a: -world[a])
    flip_rows = forward[rows] if world[rows] == 2 else not forward[rows]
    flips = (not forward[axis], flip_rows, not forward[columns])
    caption = _PLANES[2 - world[axis]]
    return View(axis, (axis, rows, columns), flips, (spacing[rows], spacing[columns]), caption)


def shown_slices(filled: np.ndarray, first: int) -> list[int]:
    """The slices to show: those with foreground and `MARGIN` more, evenly thinned out to `MOST_SLICES`.

    Args:
        filled: Per slice, whether truth or a prediction has foreground.
        first: The slice that is seen first; it is always one of them.
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
    """The slice with most of the truth's foreground, or of the predictions' where it has none; else the middle one.

    Args:
        truth: Voxels of foreground per slice.
        predictions: Likewise.
    """
    for counts in (truth, sum(predictions, np.zeros_like(truth))):
        if counts.any():
            return int(counts.argmax())
    return len(truth) // 2


def _nearest_axes(matrix: np.ndarray) -> list[int]:
    """Per column the row it runs along, each row once, the clearest first."""
    left = np.abs(matrix).astype(float)
    found = [0, 0, 0]
    for _ in range(3):
        row, column = np.unravel_index(int(left.argmax()), left.shape)
        found[int(column)] = int(row)
        left[row], left[:, column] = -1, -1
    return found
