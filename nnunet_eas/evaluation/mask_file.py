"""Reading a mask, whole or not at all: what every format does about a damaged file differs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from PIL import Image, ImageSequence

from nnunet_eas.evaluation.grid import Grid
from nnunet_eas.support.whole_nifti import check_whole

PICTURES = (".png", ".bmp", ".tif", ".tiff")
"""Endings of files without millimetres: nnU-Net counts 1 mm a pixel, or takes a 3-D TIFF's spacing from a JSON file."""

ENDINGS = (".nii.gz", ".nii", ".mha", ".mhd", ".nrrd", *PICTURES)
"""What a mask's file name can end in."""

LARGEST_LABEL = 65535

# what SimpleITK, check_whole and PIL raise at a damaged file
_UNREADABLE = (RuntimeError, OSError, ValueError, SyntaxError)


@dataclass(frozen=True)
class Mask:
    """The labels of one image.

    Attributes:
        labels: uint8 or uint16, (z, y, x) or (y, x).
        grid: Where they lie.
    """

    labels: np.ndarray
    grid: Grid

    @property
    def spacing(self) -> tuple[float, ...]:
        """mm, in array order."""
        return self.grid.spacing[::-1]


def read_mask(path: Path) -> Mask:
    """Reads one file of `ENDINGS`.

    Raises:
        ValueError: It is missing, damaged, or no mask: more than one channel, other than two or three axes, or other
            than whole numbers from 0 to 65535.
    """
    try:
        array, grid = _read_picture(path) if path.suffix in PICTURES else _read_image(path)
    except _UNREADABLE as error:
        raise ValueError(
            f"{path.name} must be a whole file, got a damaged one: {_last_line(error)}. Write it anew."
        ) from error
    if array.ndim != len(grid.size) or array.ndim not in (2, 3):
        raise ValueError(
            f"{path.name} must hold one channel in 2-D or 3-D, got an array of shape {array.shape}. Give a label map."
        )
    return Mask(_narrowed(array, path.name), grid)


def _read_image(path: Path) -> tuple[np.ndarray, Grid]:
    check_whole(path)
    image = sitk.ReadImage(str(path))
    grid = Grid(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())
    return sitk.GetArrayFromImage(image), grid


def _read_picture(path: Path) -> tuple[np.ndarray, Grid]:
    with Image.open(path) as picture:
        array = np.stack([np.asarray(page) for page in ImageSequence.Iterator(picture)])
    spacing = [1.0] * 3
    if len(array) == 1:
        array, spacing = array[0], spacing[1:]
    elif path.with_suffix(".json").is_file():
        spacing = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["spacing"]
    dimension = len(spacing)
    size = array.shape[:dimension][::-1]
    direction = tuple(np.eye(dimension).ravel().tolist())
    return array, Grid(size, tuple(map(float, spacing[::-1])), (0.0,) * dimension, direction)


def _narrowed(array: np.ndarray, name: str) -> np.ndarray:
    """The same labels in the narrowest type: some tools write masks as floating point."""
    if array.dtype == np.uint8:
        return array
    # not a number and infinity compare as false
    is_label = (array >= 0) & (array <= LARGEST_LABEL) & (array == np.floor(array))
    if not is_label.all():
        value = array[~is_label][0]
        raise ValueError(
            f"{name} must hold whole numbers from 0 to {LARGEST_LABEL}, got {value}. Give a label map that was "
            "resampled without interpolation."
        )
    return array.astype(np.uint8 if array.max(initial=0) <= 255 else np.uint16)


def _last_line(error: Exception) -> str:
    """An error in one line, without a library's source positions and final stop."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__).rstrip(".")
