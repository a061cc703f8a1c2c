"""Checks that an image file is what it says it is: SimpleITK fills what is missing or impossible, without a warning."""

from __future__ import annotations

import gzip
import math
import re
from pathlib import Path

import nibabel as nib
import SimpleITK as sitk
from isal import igzip, igzip_lib

CHUNK = 1 << 20

EDGES_MM = (1e-4, 1e3)
"""The shortest and the longest edge of a voxel."""

MOST_VOXELS = 1 << 30
MANY_VOXELS = 1 << 27  # 512 in each direction
VOXELS_A_BYTE = 500  # of a scan's file; a mask may be empty

_TEXT_HEADER = 1 << 16  # bytes at the start of a file in which MetaImage and NRRD say the spacing


def check_image(path: Path, *, is_scan: bool = False) -> None:
    """Raises OSError where a file is cut off, packs more voxels than a scan has, or has an impossible spacing.

    NIfTI files are read to the end, to compare length and checksum; of other formats the header alone is read, and
    SimpleITK finds the rest. Pictures have no spacing. A scan (`is_scan`) has 2 or 3 axes.
    """
    if not path.name.endswith((".nii", ".nii.gz", ".mha", ".mhd", ".nrrd")):
        return
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    is_nifti = path.name.endswith((".nii", ".nii.gz"))
    if is_nifti and path.stat().st_size == 0:
        raise OSError("it is empty")
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:  # ITK's texts are for programmers
        _unpacked_length(path, MANY_VOXELS)  # may know more
        raise OSError(f"its header is damaged, or its format is not the one of its name, {path.name}") from error
    if is_scan and reader.GetDimension() not in (2, 3):
        raise OSError(f"it must have 2 or 3 axes, got {reader.GetDimension()}; split it")
    voxels = math.prod(reader.GetSize())
    if voxels > MOST_VOXELS or (is_scan and voxels > MANY_VOXELS and voxels > VOXELS_A_BYTE * path.stat().st_size):
        raise OSError(f"it unpacks to {voxels} voxels; crop it, or store a scan without compression")
    if is_nifti:
        bytes_a_voxel = int(reader.GetMetaData("bitpix")) // 8
        expected = int(float(reader.GetMetaData("vox_offset"))) + voxels * bytes_a_voxel
        if (length := _unpacked_length(path, expected)) < expected:
            raise OSError(f"it ends after {length} of {expected} bytes")
    edges = _nifti_spacing(path, reader.GetDimension()) if is_nifti else _written_spacing(path)
    for edge in edges:
        if not EDGES_MM[0] <= _number(edge) <= EDGES_MM[1]:  # not a number compares as false
            raise OSError(f"its spacing must lie between {EDGES_MM[0]:g} and {EDGES_MM[1]:g} mm, got {edge}")


def _nifti_spacing(path: Path, axes: int) -> list[str]:
    """The edges as the header has them; ITK makes 1 mm of what is impossible."""
    with igzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        start = file.read(nib.Nifti1Header.template_dtype.itemsize)
    header = nib.Nifti1Header(start, check=False)  # ITK does not read the format's second version
    to_mm = {"meter": 1e3, "micron": 1e-3}.get(header.get_xyzt_units()[0], 1.0)
    edges = zip(header["pixdim"][1 : axes + 1], header["dim"][1 : axes + 1], strict=True)
    return [str(edge * to_mm) for edge, voxels in edges if voxels != 1]  # a single slice needs no thickness


def _written_spacing(path: Path) -> list[str]:
    """The edges of a MetaImage's or NRRD's voxels as its header writes them; none where it does not."""
    with path.open("rb") as file:
        header = file.read(_TEXT_HEADER).decode("latin-1")
    if path.suffix != ".nrrd":
        found = re.search(r"^ElementSpacing\s*=\s*(.+)$", header, re.MULTILINE)
        return found[1].split() if found else []
    header = header.partition("\n\n")[0]
    if found := re.search(r"^spacings:\s*(.+)$", header, re.MULTILINE):
        return [edge for edge in found[1].split() if edge.lower() != "nan"]  # an axis that is none of space
    found = re.search(r"^space directions:\s*(.+)$", header, re.MULTILINE)
    vectors = re.findall(r"\(([^)]*)\)", found[1]) if found else []
    return [str(math.hypot(*map(_number, vector.split(",")))) for vector in vectors]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _unpacked_length(path: Path, expected: int) -> int:
    """Bytes of the file's content; it is not unpacked far beyond what it must hold."""
    if path.suffix != ".gz":
        return path.stat().st_size
    length = 0
    try:
        with igzip.open(path) as unpacked:
            while length <= expected + CHUNK and (block := unpacked.read(CHUNK)):
                length += len(block)
    except (EOFError, gzip.BadGzipFile, igzip_lib.IsalError) as error:  # type: ignore[misc]  # its stub calls it a value
        raise OSError("its compressed content is damaged or cut off") from error
    return length
