"""Checks that a NIfTI file is whole: SimpleITK fills what a truncated one lacks with zeros, without a warning."""

from __future__ import annotations

import math
from pathlib import Path

import SimpleITK as sitk
from isal import igzip, igzip_lib

CHUNK = 1 << 20


def check_whole(path: Path) -> None:
    """Compares a NIfTI's length with what its header says, and gzip's checksum with the content. Other formats pass."""
    if not path.name.endswith((".nii", ".nii.gz")):
        return
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    length = _unpacked_length(path)
    reader.ReadImageInformation()
    bytes_a_voxel = int(reader.GetMetaData("bitpix")) // 8
    expected = int(float(reader.GetMetaData("vox_offset"))) + math.prod(reader.GetSize()) * bytes_a_voxel
    if length < expected:
        raise OSError(f"it ends after {length} of {expected} bytes")


def _unpacked_length(path: Path) -> int:
    if path.suffix != ".gz":
        return path.stat().st_size
    try:
        with igzip.open(path) as unpacked:
            return sum(len(block) for block in iter(lambda: unpacked.read(CHUNK), b""))
    except (EOFError, igzip_lib.IsalError) as error:  # type: ignore[misc]  # its stub calls it a value
        raise OSError(str(error)) from error
