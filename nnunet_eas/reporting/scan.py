"""The scan behind the outlines: its file, and its slices as small pictures."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from PIL import Image

from nnunet_eas.evaluation.grid import Grid, check_same_place
from nnunet_eas.evaluation.mask_file import PICTURES, masks_in

LONGEST_EDGE = 512
"""Pixels of an embedded picture; larger slices are scaled down. Outlines stay exact."""

GREY_PERCENTILES = (0.5, 99.5)

_LOSSLESS_BYTES = 12_000
_FORMATS: dict[str, dict[str, int]] = {"png": {"optimize": True}, "jpeg": {"quality": 80}}


def scans_in(folder: Path, file_ending: str | None) -> dict[str, list[Path]]:
    """The first channel's files by case identifier."""
    files = masks_in(folder, file_ending)
    return {name.removesuffix("_0000"): paths for name, paths in files.items() if name.endswith("_0000")}


def read_scan(paths: Sequence[Path], grid: Grid) -> np.ndarray:
    """The scan's voxels in array order, colours as their mean.

    Raises:
        ValueError: It is not one file, can't be read, or does not lie on the reference's grid.
    """
    if len(paths) != 1:
        names = ", ".join(path.name for path in paths) or "none"
        raise ValueError(
            f"the scan must be one file CASE_0000 in images (-images), got {names}. Leave the right one there."
        )
    path = paths[0]
    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise ValueError(f"{path.name} must be a whole scan, got a damaged file. Copy it anew.") from error
    array = sitk.GetArrayFromImage(image).astype(np.float32)
    if image.GetNumberOfComponentsPerPixel() > 1:
        array = array.mean(axis=-1)
    own = Grid.of(image)
    if path.suffix in PICTURES and len(own.size) == len(grid.size):  # pictures hold no millimetres
        own = replace(grid, size=own.size)
    try:
        check_same_place(grid, own)
    except ValueError as error:
        raise ValueError(f"{path.name}, the scan, must lie where the reference lies: {error}") from error
    return array


def as_grey(scan: np.ndarray) -> np.ndarray:
    """Grey levels from black to white between `GREY_PERCENTILES`, uint8; values that are no number are black."""
    scan = np.nan_to_num(scan, posinf=0, neginf=0)
    low, high = np.percentile(scan, GREY_PERCENTILES)
    return (np.clip((scan - low) / max(float(high - low), 1e-6), 0, 1) * 255).astype(np.uint8)


def data_uri(plane: np.ndarray) -> str:
    """A slice (rows, columns), uint8, for the page: PNG where that is small, else JPEG."""
    picture = Image.fromarray(np.ascontiguousarray(plane))
    picture.thumbnail((LONGEST_EDGE, LONGEST_EDGE))
    for kind, options in _FORMATS.items():
        file = io.BytesIO()
        picture.save(file, kind, **options)
        if file.tell() <= _LOSSLESS_BYTES:
            break
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"
