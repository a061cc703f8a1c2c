"""One mask from its file to its rows and pictures, or what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import find_objects

from nnunet_eas.evaluation.mask_file import Mask, read_mask
from nnunet_eas.evaluation.structures import Structures
from nnunet_eas.morphometry.measures import measure
from nnunet_eas.morphometry.pairs import Bones
from nnunet_eas.morphometry.surface import Surface, surface_of
from nnunet_eas.morphometry.thickness import thickness_mm

_NO_FILE_NAME = re.compile(r"[^\w-]+")


@dataclass(frozen=True)
class Job:
    """What one process needs to know.

    Attributes:
        case: Its identifier.
        files: Its mask; more than one is a fault.
        structures: What is measured.
        bones: On which it lies.
        maps: Folder for pictures, or None.
    """

    case: str
    files: Sequence[Path]
    structures: Structures
    bones: Bones
    maps: Path | None


@dataclass(frozen=True)
class Quantified:
    """What comes of it: rows and notes on them, or a fault."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    fault: str | None = None


def quantify(job: Job) -> Quantified:
    """Reads and measures one case. It raises nothing for a faulty one."""
    try:
        mask = _read(job)
    except ValueError as error:
        return Quantified(fault=str(error))
    structures, bones = job.structures.values, job.bones
    surfaces = {values: _surface(mask, values) for values in {*structures.values(), *bones.values()}}
    rows, notes = [], []
    for name, values in structures.items():
        surface, bone = surfaces[values], surfaces.get(bones.get(name, ()))
        if name in bones and bone is None:
            notes.append(
                f"the bone of {name} must be there for bone_area_mm2, got no voxel of label {label(bones[name])}. Its "
                "areas are left empty."
            )
        thickness = thickness_mm(surface) if surface else np.empty(0)
        numbers = measure(surface, thickness, mask.grid.direction, bone)
        rows.append({"case": job.case, "label": label(values), "name": name, **numbers})
        if job.maps and surface and not np.isnan(thickness).all():
            from nnunet_eas.morphometry.thickness_map import draw_thickness  # matplotlib takes a second to load

            path = job.maps / f"{job.case}_{_NO_FILE_NAME.sub('_', name)}.png"
            draw_thickness(path, surface, thickness, mask.grid.direction, bone, f"{job.case}: {name}")
    return Quantified(rows, notes)


def label(values: tuple[int, ...]) -> str:
    """A structure's values in one cell: 2, or 1+2 for a region."""
    return "+".join(map(str, values))


def _read(job: Job) -> Mask:
    if len(job.files) != 1:
        names = ", ".join(file.name for file in job.files)
        raise ValueError(f"the mask must be one file, got {names}. Remove the others.")
    mask = read_mask(job.files[0])
    if mask.labels.ndim != 3:
        raise ValueError(f"the mask must have three axes, got {mask.labels.ndim}. A slice has no surface to measure.")
    known, found = job.structures.known, find_objects(mask.labels)
    unknown = [value for value, box in enumerate(found, 1) if box and known is not None and value not in known]
    if unknown:
        raise ValueError(
            f"the mask must hold labels of dataset.json only, got {' '.join(map(str, unknown))}. Correct the "
            "mask, or give another -djfile."
        )
    return mask


def _surface(mask: Mask, values: tuple[int, ...]) -> Surface | None:
    """None where the mask has none of the values."""
    is_inside = np.isin(mask.labels, values) if len(values) > 1 else mask.labels == values[0]
    box = find_objects(is_inside.view(np.uint8))
    if not box:
        return None
    return surface_of(is_inside[box[0]], mask.spacing, [part.start for part in box[0]])
