"""How thick a layer is at each point of its surface."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from nnunet_eas.morphometry.surface import Surface

LONGEST_MM = 10.0
"""A structure is a layer where twice its volume is less than its surface times this; no chord is longer."""

BALL = 0.8
"""Share of half a chord that a ball around its middle must reach before it meets the surface. At a rim, where a chord
runs aslant or lengthwise, it meets it sooner."""


def thickness_mm(surface: Surface) -> np.ndarray:
    """From each point of a surface to the opposite side, (n,); NaN at rims and where it is no layer.

    The way along the inward normal is too long where that is aslant, the distance to the plane of the opposite side too
    short where this is: it is their geometric mean, which is right in the mean. On parallel sides all three are equal.
    """
    lengths = np.full(len(surface.points), np.nan)
    if 2 * surface.inside.volume_mm3 > LONGEST_MM * surface.areas_mm2.sum():
        return lengths
    tree = cKDTree(surface.points)
    start, ways = _to_the_end(surface)
    inward = -surface.normals[start]
    _, opposite = tree.query(surface.points[start] + ways[:, None] * inward)
    # from where the voxels end to the plane of the smooth surface there
    plane = surface.normals[opposite]
    cosine = (inward * plane).sum(axis=1)
    distance = ((surface.points[opposite] - surface.points[start]) * plane).sum(axis=1)
    chord = distance / np.maximum(cosine, 1e-6)
    to_surface, _ = tree.query(surface.points[start] + chord[:, None] / 2 * inward)
    kept = (cosine > 0) & (distance > 0) & (to_surface >= BALL * chord / 2)
    lengths[start[kept]] = np.sqrt(chord[kept] * distance[kept])
    return lengths


def _to_the_end(surface: Surface) -> tuple[np.ndarray, np.ndarray]:
    """The points whose inward normals leave the structure within `LONGEST_MM`, and where, to half a voxel."""
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
