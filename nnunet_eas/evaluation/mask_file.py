"""Reads masks of every format, each of them whole or not at all, and finds them in folders."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from PIL import Image, ImageSequence
from scipy.ndimage import find_objects

from nnunet_eas.evaluation.grid import Grid
from nnunet_eas.support.files import read_json
from nnunet_eas.support.image_checks import EDGES_MM, check_image

PICTURES = (".png", ".bmp", ".tif", ".tiff")
"""Endings of files without millimetres: nnU-Net counts 1 mm a pixel, or takes a 3-D TIFF's spacing from a JSON file."""

ENDINGS = (".nii.gz", ".nii", ".mha", ".mhd", ".nrrd", *PICTURES)
"""Endings of the files that can be read."""

LARGEST_LABEL = 65535

_SCAN = re.compile(r"(?P<case>.+)_\d{4}")  # nnU-Net's name of a scan: its case and the number of the channel

# what SimpleITK, check_image and PIL raise at a damaged file
_UNREADABLE = (RuntimeError, OSError, ValueError, SyntaxError)


@dataclass(frozen=True)
class Mask:
    """The labels of one image, uint8 or uint16, (z, y, x) or (y, x), and the grid on which they lie."""

    labels: np.ndarray
    grid: Grid

    @property
    def spacing(self) -> tuple[float, ...]:
        """The voxels' edges in mm, in array order."""
        return self.grid.spacing[::-1]

    def boxes(self) -> dict[int, tuple[slice, ...]]:
        """The bounding box of each foreground label that the mask holds."""
        found = find_objects(self.labels) if self.labels.any() else []
        return {label: box for label, box in enumerate(found, 1) if box is not None}


def read_mask(source: Path | sitk.Image) -> Mask:
    """Reads one file of `ENDINGS`, or takes an image from memory; raises ValueError where it is no whole mask."""
    if isinstance(source, sitk.Image):
        name, array, grid = "the image", sitk.GetArrayFromImage(source), Grid.of(source)
    else:
        name = source.name
        try:
            if source.suffix in PICTURES:
                array, grid = _read_picture(source)
            else:
                check_image(source)
                image = sitk.ReadImage(str(source))
                array, grid = sitk.GetArrayFromImage(image), Grid.of(image)
        except _UNREADABLE as error:
            # without a library's source positions and final stop; without the folder, because pages may travel
            lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
            reason = lines[-1].rstrip(".").replace(f"{source.parent}{os.sep}", "")
            raise ValueError(f"{name} must be a whole file, got a damaged one: {reason}. Write it anew.") from error
    if not all(EDGES_MM[0] <= edge <= EDGES_MM[1] for edge in grid.spacing):  # not a number compares as false
        shortest, longest = EDGES_MM
        raise ValueError(
            f"{name} must have a spacing between {shortest:g} and {longest:g} mm, got {grid.spacing}. Correct it."
        )
    if array.ndim != len(grid.size) or array.ndim not in (2, 3):
        raise ValueError(
            f"{name} must hold one channel in 2-D or 3-D, got an array of shape {array.shape}. Give a label map."
        )
    return Mask(_narrowed(array, name), grid)


def inside(labels: np.ndarray, values: Sequence[int]) -> np.ndarray:
    """The voxels of a structure, as booleans."""
    return labels == values[0] if len(values) == 1 else np.isin(labels, values)


def masks_in(folder: Path, file_ending: str | None) -> dict[str, list[Path]]:
    """The masks of a folder by case identifier, the file's name without its ending: a file for each ending it has.

    Args:
        folder: Searched without its subfolders; it may be missing.
        file_ending: From dataset.json. Other files count only where there is none with this ending.
    """
    if file_ending is not None and file_ending not in ENDINGS:
        raise ValueError(
            f"file_ending in dataset.json must be one of {' '.join(ENDINGS)}, got {file_ending!r}. Convert the masks."
        )
    found: dict[str, list[Path]] = {}
    for endings in ([file_ending] if file_ending else [], ENDINGS):
        for path in sorted(folder.iterdir()) if folder.is_dir() else []:
            ending = next((e for e in endings if path.name.endswith(e)), None)
            if ending and path.is_file() and not path.name.startswith("."):
                found.setdefault(path.name.removesuffix(ending), []).append(path)
        if found:
            break
    return found


def check_filled(masks: Mapping[str, Sequence[Path]], argument: str, folder: Path) -> None:
    """Raises FileNotFoundError where a folder has no masks, or is none; ValueError where scans lie beside them."""
    if not folder.is_dir():
        raise FileNotFoundError(f"{argument} must be a folder, got {folder}. Correct the path.")
    if not masks:
        raise FileNotFoundError(
            f"{argument} must hold masks ({' '.join(ENDINGS)}), got none in {folder}. Give the folder of the masks."
        )
    scans = [match for match in map(_SCAN.fullmatch, masks) if match and match["case"] in masks]
    if scans:
        raise ValueError(
            f"{argument} must hold masks only, got {scans[0][0]}, which looks like the scan of {scans[0]['case']}, and "
            f"{len(scans)} such in all, in {folder}. Move the scans to another folder."
        )


def _read_picture(path: Path) -> tuple[np.ndarray, Grid]:
    with Image.open(path) as picture:
        array = np.stack([np.asarray(page) for page in ImageSequence.Iterator(picture)])
    spacing = [1.0] * 3
    if len(array) == 1:
        array, spacing = array[0], spacing[1:]
    elif path.with_suffix(".json").is_file():
        beside = path.with_suffix(".json")
        spacing = read_json(beside, beside.name, keys=["spacing"])["spacing"]
        if not (isinstance(spacing, list) and len(spacing) == 3 and all(isinstance(s, (int, float)) for s in spacing)):
            raise ValueError(f"{beside.name} must have three numbers as spacing, got {spacing!r}")
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
