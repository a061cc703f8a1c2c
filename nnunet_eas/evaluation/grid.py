"""Position of an image's voxels in the patient, and the difference between two grids."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

SAME_PLACE_VOXELS = 0.1
"""Two grids agree where their corners differ by at most this share of the shortest voxel edge: file formats round."""


@dataclass(frozen=True)
class Grid:
    """Size and pose, in SimpleITK's order (x, y, z), in 2-D or 3-D."""

    size: tuple[int, ...]  # voxels
    spacing: tuple[float, ...]  # mm
    origin: tuple[float, ...]  # position of the first voxel's centre, LPS mm
    direction: tuple[float, ...]  # a unit vector for each index axis in the columns of a matrix, row after row

    @classmethod
    def of(cls, image: sitk.Image) -> Grid:
        """The grid of an image."""
        return cls(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())

    def corners(self) -> np.ndarray:
        """Positions of the corner voxels' centres, (corners, axes), LPS mm."""
        dimension = len(self.size)
        indices = np.array(list(itertools.product(*[(0, edge - 1) for edge in self.size])))
        matrix = np.reshape(self.direction, (dimension, dimension)) * self.spacing
        return indices @ matrix.T + self.origin


def check_same_place(reference: Grid, prediction: Grid) -> None:
    """Raises ValueError unless both grids have the same voxels at the same places."""
    if reference.size != prediction.size:
        raise ValueError(
            f"the prediction must have the reference's size {reference.size} (x, y, z), got {prediction.size}. "
            "Compare masks of the same image."
        )
    apart_mm = np.abs(reference.corners() - prediction.corners()).max()
    if apart_mm <= SAME_PLACE_VOXELS * min(reference.spacing):
        return
    differing = [
        f"{name} {_rounded(getattr(prediction, name))}, not {_rounded(getattr(reference, name))}"
        for name in ("spacing", "origin", "direction")
        if not np.allclose(getattr(reference, name), getattr(prediction, name), rtol=1e-5, atol=1e-5)
    ]
    raise ValueError(
        f"the prediction must lie where the reference lies, got {'; '.join(differing)} (x, y, z), which puts a corner "
        f"{apart_mm:.4g} mm off. Resample the prediction onto the reference's grid, or correct its header."
    )


def _rounded(values: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(float(f"{value:.6g}") for value in values)
