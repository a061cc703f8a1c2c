"""The area of a bone that a cartilage covers, and the bare area within it."""

from __future__ import annotations

import numpy as np
from scipy.sparse.csgraph import connected_components

from nnunet_eas.morphometry.surface import Surface

GAP_MM = 1.0
"""Cartilage lies on a bone where it begins within this distance along the bone's normal: masks leave gaps."""


def covered_and_bare_mm2(bone: Surface, cartilage: Surface) -> tuple[float, float]:
    """The area of the bone's surface that cartilage covers, and the area of the holes in it.

    A hole is a connected uncovered part of the surface. The largest one of each piece of bone is no hole: it surrounds
    the cartilage, and wear at the cartilage's edge is part of it.
    """
    is_covered = np.zeros(len(bone.points), dtype=bool)
    step = bone.inside.spacing.min() / 2
    for way in np.arange(0, GAP_MM + step / 2, step):
        left = np.flatnonzero(~is_covered)
        is_covered[left] = cartilage.inside.at(bone.points[left] + way * bone.normals[left]) >= 0.5
    covered = bone.areas_mm2[is_covered].sum()

    _, piece = connected_components(bone.neighbours, directed=False)
    bare = np.flatnonzero(~is_covered)
    if not len(bare):
        return float(covered), 0.0
    number, part = connected_components(bone.neighbours[bare][:, bare], directed=False)
    areas = np.bincount(part, bone.areas_mm2[bare])
    piece_of_part = np.zeros(number, dtype=int)
    piece_of_part[part] = piece[bare]
    around = sum(areas[piece_of_part == one].max() for one in np.unique(piece_of_part))
    return float(covered), float(areas.sum() - around)
