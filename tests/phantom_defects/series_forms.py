"""Other forms of the same DICOM series: reversed axes, and rescaled pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
from pydicom.valuerep import format_number_as_ds

Flips = tuple[bool, bool, bool]
"""Whether a scan's columns, rows and order of slices are reversed against the usual."""


def flip_series(folder: Path, flips: Flips) -> None:
    """Reverses axes of the slices as they are stored; every voxel keeps its place in space."""
    columns_flipped, rows_flipped, slices_flipped = flips
    items = {int(path.name): pydicom.dcmread(path) for path in sorted(folder.iterdir())}
    for number, item in items.items():
        pixels = item.pixel_array
        position = np.array(item.ImagePositionPatient, dtype=float)
        along_columns, along_rows = np.array(item.ImageOrientationPatient, dtype=float).reshape(2, 3)
        between_rows, between_columns = (float(edge) for edge in item.PixelSpacing)
        if columns_flipped:
            position += along_columns * between_columns * (item.Columns - 1)
            along_columns, pixels = -along_columns, pixels[:, ::-1]
        if rows_flipped:
            position += along_rows * between_rows * (item.Rows - 1)
            along_rows, pixels = -along_rows, pixels[::-1]
        item.ImagePositionPatient = [format_number_as_ds(p) for p in position.tolist()]
        item.ImageOrientationPatient = [format_number_as_ds(o) for o in [*along_columns.tolist(), *along_rows.tolist()]]
        item.PixelData = np.ascontiguousarray(pixels).tobytes()
        if slices_flipped:
            item.InstanceNumber = len(items) + 1 - item.InstanceNumber
            number = len(items) + 1 - number
        item.save_as(folder / f"{number:03d}", enforce_file_format=True)


def check_rescale(image: np.ndarray, rescale: tuple[float, float]) -> None:
    """Raises ValueError where no 16-bit pixels give the image after rescaling."""
    slope, intercept = rescale
    values = np.rint((image.astype(float) - intercept) / slope) if slope else np.full(image.shape, np.inf)
    limits = np.iinfo(np.uint16 if values.min() >= 0 else np.int16)
    fits = values.min() >= limits.min and values.max() <= limits.max
    if not fits or not np.array_equal(values * slope + intercept, image):
        raise ValueError(
            f"rescale must let 16-bit integers give the image back exactly, got {rescale}. "
            "Take a slope of 1, 0.5 or 0.25 and a whole intercept of a few thousand at most."
        )


def rescale_series(folder: Path, image: np.ndarray, rescale: tuple[float, float]) -> None:
    """Stores other pixels, uint16 where none is negative and int16 otherwise, which rescaling turns into the image."""
    slope, intercept = rescale
    dtype = np.uint16 if (image.min() - intercept) / slope >= 0 else np.int16
    for path in folder.iterdir():
        item = pydicom.dcmread(path)
        stored = np.rint((item.pixel_array.astype(float) - intercept) / slope).astype(dtype)
        item.PixelData = np.ascontiguousarray(stored).tobytes()
        item.PixelRepresentation = int(dtype is np.int16)
        item.RescaleSlope, item.RescaleIntercept = (format_number_as_ds(float(value)) for value in rescale)
        item.save_as(path, enforce_file_format=True)
