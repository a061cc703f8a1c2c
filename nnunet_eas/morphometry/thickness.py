"""The thickness of a layer at each point of its surface."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from nnunet_eas.morphometry.surface import Surface

LONGEST_MM = 10.0
"""A structure is a layer where twice its volume is less than its surface times this; no chord is longer."""

BALL = 0.8
"""Least radius of the largest ball around a chord's middle within the surface, as a share of half the chord. At a rim
chords run aslant or lengthwise, and the ball is smaller."""


def thickness_mm(surface: Surface) -> np.ndarray:
    """The distance from each point of a surface to the opposite side, (n,); NaN at rims and where there is no layer.

    The way along the inward normal is too long where the normal is aslant, and the distance to the opposite side's
    plane too short where the plane is aslant. Their geometric mean is right in the mean; on parallel sides all are
    equal.
    """
    lengths = np.full(len(surface.points), np.nan)
    if 2 * surface.inside.volume_mm3 > LONGEST_MM * surface.areas_mm2.sum():
        return lengths
    tree = cKDTree(surface.points)
    start, ways = _to_the_end(surface)
    inward = -surface.normals[start]
    _, opposite = tree.query(surface.points[start] + ways[:, None] * inward)
    # the voxels end near the opposite side; the plane of the smooth surface there says where exactly
    plane = surface.normals[opposite]
    cosine = (inward * plane).sum(axis=1)
    distance = ((surface.points[opposite] - surface.points[start]) * plane).sum(axis=1)
    chord = distance / np.maximum(cosine, 1e-6)
    to_surface, _ = tree.query(surface.points[start] + chord[:, None] / 2 * inward)
    kept = (cosine > 0) & (distance > 0) & (to_surface >= BALL * chord / 2)
    lengths[start[kept]] = np.sqrt(chord[kept] * distance[kept])
    return lengths


def _to_the_end(surface: Surface) -> tuple[np.ndarray, np.ndarray]:
    """The points whose inward normals leave the structure within `LONGEST_MM`, and after which way, to half a voxel."""
    step = surface.inside.spacing.min() / 2
    active, entered = np.arange(len(surface.points)), np.zeros(len(surface.points), dtype=bool)
    found, ways = [], []
    for way in np.arange(step, LONGEST_MM + step, step):
        points = surface.points[active] - way * surface.normals[active]
        is_inside = surface.inside.at(points) >= 0.5
        ends = entered & ~is_inside
        found.append(active[ends])
        ways.append(np.full(len(found[-1]), way - step / 2))
        # smoothing may have put a point a little outside
        entered |= is_inside
        active, entered = active[~ends], entered[~ends]
    return np.concatenate(found), np.concatenate(ways)
