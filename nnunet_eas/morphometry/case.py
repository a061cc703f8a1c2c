"""The measurements of one mask: its rows and pictures, or its fault."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from scipy.ndimage import find_objects

from nnunet_eas.evaluation.mask_file import Mask, inside, read_mask
from nnunet_eas.evaluation.structures import Structures
from nnunet_eas.morphometry.bone import Bones
from nnunet_eas.morphometry.measures import measure
from nnunet_eas.morphometry.surface import Surface, surface_of
from nnunet_eas.morphometry.thickness import thickness_mm

_NO_FILE_NAME = re.compile(r"[^\w-]+")


@dataclass(frozen=True)
class Measured:
    """The rows of one case and notes on them, or a fault."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    fault: str | None = None


def measure_case(
    case: tuple[str, Sequence[Path | sitk.Image]],
    structures: Structures,
    bones: Bones,
    maps: Path | None,
    titles: Mapping[tuple[int, ...], str],
) -> Measured:
    """Reads and measures one case; it raises nothing for a faulty one.

    Args:
        case: Its identifier and its mask; more than one file is a fault.
        structures: The structures to measure.
        bones: The bones on which they lie.
        maps: Folder for pictures of the thickness, or None.
        titles: Names for the pictures, by label values, in place of the structures' own.
    """
    identifier, sources = case
    if len(sources) != 1:
        names = ", ".join(file.name for file in sources if isinstance(file, Path))
        return Measured(fault=f"the mask must be one file, got {names}. Remove the others.")
    try:
        mask = read_mask(sources[0])
        if mask.labels.ndim != 3:
            got = mask.labels.ndim
            raise ValueError(f"the mask must have three axes, got {got}. A slice has no surface to measure.")
        structures.check_labels(mask.boxes(), "mask")
    except ValueError as error:
        return Measured(fault=str(error))
    surfaces = {values: _surface(mask, values) for values in {*structures.values.values(), *bones.values()}}
    rows, notes = [], []
    for name, values in structures.values.items():
        surface, bone = surfaces[values], surfaces.get(bones.get(name, ()))
        if name in bones and bone is None:
            notes.append(
                f"{identifier}: the bone of {name} must be there for bone_area_mm2, got no voxel of label "
                f"{label(bones[name])}. Its areas are left empty."
            )
        thickness = thickness_mm(surface) if surface else np.empty(0)
        numbers = measure(surface, thickness, mask.grid.direction, bone)
        rows.append({"case": identifier, "label": label(values), "name": name, **numbers})
        if maps and surface and not np.isnan(thickness).all():
            from nnunet_eas.morphometry.thickness_map import draw_thickness  # matplotlib takes a second to load

            path = maps / f"{identifier}_{_NO_FILE_NAME.sub('_', name)}.png"
            title = f"{identifier}: {titles.get(values, name)}"
            draw_thickness(path, surface, thickness, mask.grid.direction, bone, title)
    return Measured(rows, notes)


def label(values: tuple[int, ...]) -> str:
    """A structure's label values as text: 2, or 1+2 for a region."""
    return "+".join(map(str, values))


def _surface(mask: Mask, values: tuple[int, ...]) -> Surface | None:
    is_inside = inside(mask.labels, values)
    box = find_objects(is_inside.view(np.uint8))
    if not box:
        return None
    return surface_of(is_inside[box[0]], mask.spacing, [part.start for part in box[0]])
