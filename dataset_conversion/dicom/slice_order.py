"""Order, distance and direction of parallel slices, found from their positions alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_SAME_DIRECTION = 1e-3  # of a unit vector: what rounding in a header explains
_EVEN = 0.02  # of the distance between slices
_SHEAR_MM = 0.1  # over the whole stack


@dataclass(frozen=True)
class Stack:
    """Parallel slices in their order along the normal, in LPS mm."""

    order: tuple[int, ...]  # indices of the slices as they were given
    spacing: float
    origin: tuple[float, ...]
    direction: np.ndarray  # (3, 3), unit vectors along a row, along a column and across in its columns

    @classmethod
    def of(cls, positions: Sequence[Sequence[float] | None], orientation: Sequence[float] | None) -> Stack:
        """Orders slices in which `stack_faults` has found nothing wrong."""
        points, direction = np.asarray(positions, dtype=float), _direction(orientation)
        along = points @ direction[:, 2]
        order = np.argsort(along, kind="stable")
        spacing = (along[order[-1]] - along[order[0]]) / (len(order) - 1)
        return cls(tuple(int(i) for i in order), float(spacing), tuple(points[order[0]]), direction)


def stack_faults(
    positions: Sequence[Sequence[float] | None],
    orientations: Sequence[Sequence[float] | None],
    *,
    repeated_because: str,
    thickness: float | None,
) -> list[str]:
    """Faults that keep slices from being one volume.

    `repeated_because` is the fault where several slices lie at one place. A `thickness` must be the distance between
    slices.
    """
    if len(positions) < 2:
        return [f"a volume needs at least 2 slices, got {len(positions)}. Get the missing files."]
    cosines = np.asarray(orientations, dtype=float)
    if np.abs(cosines - cosines[0]).max() > _SAME_DIRECTION:
        return ["its slices are not parallel. Leave the slices of one volume."]
    direction = _direction(orientations[0])
    if abs(np.linalg.det(direction) - 1) > 10 * _SAME_DIRECTION:
        return ["its rows and columns are not perpendicular. Export the original series."]

    points = np.asarray(positions, dtype=float)
    along = points @ direction[:, 2]
    steps = np.diff(np.sort(along))
    usual = float(np.median(steps[steps > 1e-3])) if (steps > 1e-3).any() else 0.0
    if usual == 0 or (steps < 0.1 * usual).any():
        return [repeated_because]
    if (np.abs(steps - usual) > _EVEN * usual).any():
        gaps = np.round(steps / usual)
        if (np.abs(steps - gaps * usual) <= _EVEN * usual * gaps).all():
            return [f"{int(gaps.sum() - len(gaps))} slice(s) are missing between others. Get the missing files."]
        uneven = f"{steps.min():.3f} to {steps.max():.3f} mm"
        return [f"its slices are unevenly spaced ({uneven}). Export the original series."]
    across = (points[along.argmax()] - points[along.argmin()]) @ direction[:, :2]
    if np.abs(across).max() > _SHEAR_MM:
        return ["its slices are shifted against each other (a sheared volume). Resample it to a straight grid."]
    if thickness is not None and abs(thickness - usual) > _EVEN * usual:
        return [
            f"its slices are {thickness:g} mm thick but {usual:.4g} mm apart: slices are missing, or the scan has "
            "gaps. If it has, --allow-gaps takes the distance."
        ]
    return []


def _direction(orientation: Sequence[float] | None) -> np.ndarray:
    row, column = np.asarray(orientation, dtype=float).reshape(2, 3)
    return np.stack([row, column, np.cross(row, column)], axis=1)
