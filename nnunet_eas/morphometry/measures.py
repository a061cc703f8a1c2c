"""The numbers that measure one structure: meaning, unit, and the value for an empty mask.

Lengths are in mm by the image's spacing; directions are the patient's, by the image's direction matrix. Beyond the
image's edge is outside.

volume_mm3: Number of voxels times a voxel's volume. Empty mask: 0.
surface_area_mm2: Area of the whole closed surface (`surface_of`), of a layer both sides and the rim. Edges sharper than
    a voxel are rounded, and a single voxel has almost no area. Empty mask: 0.
mean_thickness_mm: Mean thickness over the surface, weighted by area. The thickness at a point is the distance to the
    opposite side along the inward normal (`thickness_mm`). Both sides count; rims, and points more than 10 mm from the
    opposite side, do not. Undefined (an empty cell) for an empty mask, and where twice the volume is more than 10 mm
    times the area: such a structure is no layer but, for example, a bone.
sd_, median_, p5_, p95_thickness_mm: Standard deviation (of the population), median and percentiles of the thickness,
    weighted by area. Voxels add to the spread: up to 0.35 mm where a voxel's edge across the layer is 0.7 mm.
measured_share: Share of the surface's area on which thickness is defined, 0..1; with a few percent the mean means
    little. Undefined for an empty mask.
mean_thickness_SIDE_THIRD_mm: Mean thickness in one of six regions: the surface's extent is divided into two halves from
    the patient's right to left, and into thirds from front to back. The outermost half percent of the points at each
    end does not count for the extent. In a right knee the left half is the medial one. Undefined where the region has a
    thickness on at most one percent of the surface.
bone_area_mm2: Area of the bone's surface that bears this cartilage: the covered area and bare_area_mm2. Bone is covered
    where the cartilage begins within 1 mm along the bone's normal. Empty cartilage: 0. Undefined without the bone.
bare_area_mm2: Bare part of bone_area_mm2 (denuded area): uncovered parts of the bone's surface that covered ones
    enclose. Bare bone at the cartilage's edge does not count. Empty cartilage: 0. Undefined without the bone.
"""

from __future__ import annotations

import numpy as np

from nnunet_eas.morphometry.bone import covered_and_bare_mm2
from nnunet_eas.morphometry.regions import REGIONS, in_patient, regions_of
from nnunet_eas.morphometry.surface import Surface

_SPREAD = ("sd_thickness_mm", "median_thickness_mm", "p5_thickness_mm", "p95_thickness_mm")
_BONE = ("bone_area_mm2", "bare_area_mm2")
_REGIONAL = tuple(f"mean_thickness_{region}_mm" for region in REGIONS)
NUMBERS = ("volume_mm3", "mean_thickness_mm", "surface_area_mm2", *_SPREAD, "measured_share", *_REGIONAL, *_BONE)
COLUMNS = ("case", "label", *NUMBERS[:3], "name", *NUMBERS[3:])

_LEAST = 0.01
"""Share of the surface's area up to which a region has no mean."""


def measure(
    surface: Surface | None, thickness: np.ndarray, direction: tuple[float, ...], bone: Surface | None
) -> dict[str, float]:
    """All `NUMBERS` of a structure, NaN where one is undefined; `surface` is None for an empty mask."""
    numbers = dict.fromkeys(NUMBERS, float("nan"))
    if surface is None:
        zero = ("volume_mm3", "surface_area_mm2", *(_BONE if bone else ()))
        return numbers | dict.fromkeys(zero, 0.0)
    numbers["volume_mm3"] = surface.inside.volume_mm3
    numbers["surface_area_mm2"] = float(surface.areas_mm2.sum())
    if bone is not None:
        covered, bare = covered_and_bare_mm2(bone, surface)
        numbers |= dict(zip(_BONE, (covered + bare, bare), strict=True))

    is_measured = ~np.isnan(thickness)
    lengths, areas = thickness[is_measured], surface.areas_mm2[is_measured]
    numbers["measured_share"] = float(areas.sum() / surface.areas_mm2.sum())
    if not len(lengths):
        return numbers
    mean = numbers["mean_thickness_mm"] = float(np.average(lengths, weights=areas))
    spread = float(np.sqrt(np.average((lengths - mean) ** 2, weights=areas)))
    numbers |= dict(zip(_SPREAD, (spread, *_quantiles(lengths, areas, (0.5, 0.05, 0.95))), strict=True))
    region = regions_of(in_patient(surface.points, direction))[is_measured]
    for index, name in enumerate(_REGIONAL):
        is_here = region == index
        if areas[is_here].sum() > _LEAST * surface.areas_mm2.sum():
            numbers[name] = float(np.average(lengths[is_here], weights=areas[is_here]))
    return numbers


def _quantiles(values: np.ndarray, weights: np.ndarray, shares: tuple[float, ...]) -> list[float]:
    order = np.argsort(values)
    return np.interp(np.multiply(shares, weights.sum()), np.cumsum(weights[order]), values[order]).tolist()
