"""Small masks in files, for all tests of this folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

# All edges and spacings differ, so that no swap of axes passes; in array order (z, y, x), mm.
SHAPE = (6, 8, 10)
SPACING = (3.0, 0.5, 1.25)


def label_map(*boxes: tuple[int, tuple[slice, ...]], shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """Labels, each with the box that it fills; a later one paints over an earlier one."""
    array = np.zeros(shape, dtype=np.uint8)
    for label, box in boxes:
        array[box] = label
    return array


def write_mask(path: Path, array: np.ndarray, spacing=SPACING, *, compress: bool = True, **properties) -> Path:
    """Writes a label map; spacing in array order, what else the image has by SimpleITK's names."""
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(tuple(spacing)[-image.GetDimension() :][::-1])
    for name, value in properties.items():
        getattr(image, f"Set{name}")(value)
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path), compress)
    return path
