"""Header of one DICOM file: geometry and the few attributes that a conversion needs, without names and dates."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID

NO_IMAGES = ("dicomdir", "thumbs.db", "desktop.ini", "version", "lockfile")
"""Names of files in DICOM folders that are never slices; they are ignored, as hidden files are."""

# pydicom's warnings quote odd values, which could be a patient's
logging.getLogger("pydicom").setLevel(logging.CRITICAL)

_ATTRIBUTES = [
    *("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "SeriesDescription", "Laterality", "ImageLaterality"),
    *("EchoTime", "EchoNumbers", "AcquisitionNumber", "ImagePositionPatient", "ImageOrientationPatient"),
    *("PixelSpacing", "SliceThickness", "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "BitsAllocated"),
    *("RescaleSlope", "RescaleIntercept"),
]


@dataclass(frozen=True)
class Slice:
    """Header of one slice; what is absent from it is None. Positions in LPS mm."""

    file: Path
    series: str
    instance: str
    echo: tuple[str, str] | None  # number and time
    acquisition: str | None
    position: tuple[float, ...] | None  # centre of the first pixel
    orientation: tuple[float, ...] | None  # unit vectors along a row and along a column
    spacing: tuple[float, ...] | None  # between rows and between columns
    thickness: float | None
    shape: tuple[int, int]  # rows and columns
    frames: int
    samples: int  # more than one in a colour image
    syntax: str
    is_cut: bool  # the file ends before its pixels do
    description: str  # of the series; never written into an output
    side: str | None  # "left", "right", or "left and right" where the header contradicts itself


def is_no_image(file: Path) -> bool:
    """Whether a file is known by its name not to be a slice."""
    return file.name.startswith(".") or file.name.lower() in NO_IMAGES


def read_headers(files: Iterable[Path]) -> tuple[list[Slice], list[str]]:
    """The headers of all files that hold an image, and the names of those that can't be read as DICOM."""
    slices, damaged = [], []
    for file in files:
        try:
            header = _read_header(file)
        except (InvalidDicomError, OSError, ValueError, EOFError):
            damaged.append(file.name)
        else:
            slices.extend([header] if header else [])
    return slices, damaged


def _read_header(file: Path) -> Slice | None:
    """The header of one file; None for a DICOM object without an image (a report, a presentation state)."""
    with file.open("rb") as f, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        header = pydicom.dcmread(f, stop_before_pixels=True, specific_tags=_ATTRIBUTES)
        remaining = file.stat().st_size - f.tell()
        if "Rows" not in header or "Columns" not in header:
            return None
        syntax = header.file_meta.get("TransferSyntaxUID", pydicom.uid.ImplicitVRLittleEndian)
        shape = (int(header.Rows), int(header.Columns))
        frames, samples = int(header.get("NumberOfFrames") or 1), int(header.get("SamplesPerPixel") or 1)
        needed = math.prod(shape) * frames * samples * int(header.get("BitsAllocated") or 16) // 8
        echo = (header.get("EchoNumbers"), header.get("EchoTime"))
        acquisition = header.get("AcquisitionNumber")
        return Slice(
            file=file,
            series=str(header.get("SeriesInstanceUID", "")),
            instance=str(header.get("SOPInstanceUID", file)),
            echo=None if echo == (None, None) else (str(echo[0]), str(echo[1])),
            acquisition=None if acquisition is None else str(acquisition),
            position=_numbers(header.get("ImagePositionPatient"), 3),
            orientation=_numbers(header.get("ImageOrientationPatient"), 6),
            spacing=_numbers(header.get("PixelSpacing"), 2),
            thickness=(_numbers([header.get("SliceThickness")], 1) or (None,))[0],
            shape=shape,
            frames=frames,
            samples=samples,
            syntax=str(syntax),
            is_cut=not UID(syntax).is_compressed and remaining < needed,
            description=str(header.get("SeriesDescription", "")),
            side=_side(header),
        )


def _numbers(values: Iterable | None, count: int) -> tuple[float, ...] | None:
    try:
        numbers = tuple(float(v) for v in values or ())
    except (TypeError, ValueError):
        return None
    return numbers if len(numbers) == count and np.isfinite(numbers).all() else None


def _side(header: pydicom.Dataset) -> str | None:
    """The knee's side, from the attributes for it or, as in the OAI, from the series' description."""
    letter = str(header.get("Laterality") or header.get("ImageLaterality") or "").upper()
    words = str(header.get("SeriesDescription", "")).upper().replace("-", "_").replace(" ", "_").split("_")
    sides = [s for s in ("LEFT", "RIGHT") if s in words or f"{s[0]}T" in words or letter == s[0]]
    return " and ".join(sides).lower() or None
