"""The surface of a mask without the stairs of its voxels: a mesh with normals and areas, in mm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import map_coordinates
from scipy.sparse import coo_matrix, csr_matrix, diags
from skimage.measure import marching_cubes

ROUNDS = 30
"""Rounds of smoothing. More rounds flatten longer stairs, as on surfaces nearly along the grid, and round edges."""

SHRINK, GROW = 0.5, -0.53
"""Taubin's two steps of a round, as shares of the way to the neighbours' mean: gentle bends keep their place."""

NORMAL_ROUNDS = 20
"""Rounds of averaging normals over neighbours, about 1 mm at 0.4 mm a voxel: chords along other normals are long."""

ALIKE = 4
"""Power of the cosine by which a neighbour's normal counts: normals beyond a rim count for nothing."""


@dataclass(frozen=True)
class Inside:
    """A mask as a function of position: 1 inside, 0 outside, linear between voxels."""

    values: np.ndarray  # the mask on a box of voxels around the structure
    start: np.ndarray  # the box's first voxel in the image
    spacing: np.ndarray  # mm

    def at(self, points_mm: np.ndarray) -> np.ndarray:
        """Values at points (n, 3), mm from the image's first voxel."""
        return map_coordinates(self.values, (points_mm / self.spacing - self.start).T, order=1)

    @property
    def volume_mm3(self) -> float:
        """The volume of all voxels."""
        return float(self.values.sum(dtype=float) * self.spacing.prod())


@dataclass(frozen=True)
class Surface:
    """The surface of one structure. Axes are the array's, lengths mm from the image's first voxel's centre."""

    points: np.ndarray  # (n, 3)
    normals: np.ndarray  # outward, of length 1, (n, 3)
    areas_mm2: np.ndarray  # the part of the surface that belongs to each point, a third of its triangles, (n,)
    faces: np.ndarray  # numbers of three points for each triangle, (m, 3)
    neighbours: csr_matrix  # 1 where an edge joins two points, (n, n)
    inside: Inside  # the mask


def surface_of(mask: np.ndarray, spacing: Sequence[float], start: Sequence[int] = (0, 0, 0)) -> Surface:
    """The surface of a mask, by marching cubes, with Taubin's smoothing (1995).

    Args:
        mask: A box around the structure, 3-D, with voxels inside; beyond the box is outside.
        spacing: mm, in array order.
        start: The box's first voxel in the image.
    """
    step = np.asarray(spacing, dtype=float)
    inside = Inside(np.pad(mask, 1).astype(np.float32), np.asarray(start) - 1, step)
    corners, faces, _, _ = marching_cubes(inside.values, 0.5, gradient_direction="ascent")
    points = (corners + inside.start) * step
    neighbours = _neighbours(faces, len(points))
    mean = diags(1 / neighbours.sum(axis=1).A1) @ neighbours
    for share in (SHRINK, GROW) * ROUNDS:
        points = points + share * (mean @ points - points)

    # for each triangle a vector along its outward normal, twice as long as the triangle's area
    first, second, third = (points[faces[:, corner]] for corner in range(3))
    across = np.cross(second - first, third - first)
    normals = _average(_sums(np.repeat(across, 3, axis=0), faces, len(points)), neighbours)
    areas = _sums(np.repeat(np.linalg.norm(across, axis=1) / 6, 3)[:, None], faces, len(points))[:, 0]
    return Surface(points, normals, areas, faces, neighbours, inside)


def _neighbours(faces: np.ndarray, number: int) -> csr_matrix:
    one, other = np.concatenate([faces[:, pair] for pair in ((0, 1), (1, 2), (2, 0))]).T
    both = np.concatenate([one, other]), np.concatenate([other, one])
    matrix = coo_matrix((np.ones(len(both[0])), both), shape=(number, number)).tocsr()
    matrix.data[:] = 1  # an edge of two triangles counts once
    return matrix


def _average(normals: np.ndarray, neighbours: csr_matrix) -> np.ndarray:
    normals = _unit(normals)
    one, other = neighbours.nonzero()
    alike = neighbours.copy()
    alike.data = np.maximum((normals[one] * normals[other]).sum(axis=1), 0) ** ALIKE
    for _ in range(NORMAL_ROUNDS):
        normals = _unit(normals + alike @ normals)
    return normals


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def _sums(of_corners: np.ndarray, faces: np.ndarray, number: int) -> np.ndarray:
    """Sums of the vectors of all triangles' corners, (3 m, k), for each point, (number, k)."""
    return np.stack([np.bincount(faces.ravel(), column, minlength=number) for column in of_corners.T], axis=1)
