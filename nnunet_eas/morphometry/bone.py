"""The bone that a cartilage lies on: its label, the area that the cartilage covers, and the bare area within it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.sparse.csgraph import connected_components

from nnunet_eas.evaluation.structures import Structures
from nnunet_eas.morphometry.surface import Surface

BY_NAME = {"femoral_cartilage": "femur", "tibial_cartilage": "tibia", "patellar_cartilage": "patella"}
"""Part of a cartilage's name, and its bone's name: those of the converted knee datasets."""

GAP_MM = 1.0
"""Cartilage lies on a bone where it begins within this distance along the bone's normal: masks leave gaps."""


Bones = dict[str, tuple[int, ...]]
"""By measured structure that lies on a bone, the bone's label values."""


def known_bones(structures: Structures, measured: Structures) -> Bones:
    """The pairs that the dataset names as in `BY_NAME`."""
    bones = structures.values
    return {
        name: bones[bone]
        for part, bone in BY_NAME.items()
        for name in measured.values
        if part in name and bone in bones
    }


def given_bones(pairs: Mapping[str | int, str | int], structures: Structures, measured: Structures) -> Bones:
    """The bones of cartilages, each side a name or a number."""
    found = {}
    names = {values: name for name, values in measured.values.items()}
    for sides in pairs.items():
        pair = "=".join(map(str, sides))
        cartilage, bone = (_values(str(side), structures, pair) for side in sides)
        if cartilage not in names:
            raise ValueError(f"bones must name cartilages that are measured, got {pair}. Add it to labels (-l).")
        found[names[cartilage]] = bone
    return found


def _values(side: str, structures: Structures, pair: str) -> tuple[int, ...]:
    values = structures.values.get(side) or ((int(side),) if side.isdecimal() else ())
    if not values or 0 in values or not set(values) <= (structures.known or set(values)):
        raise ValueError(f"bones must hold labels' names or numbers, got {side!r} in {pair}. Correct it.")
    return values


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
