"""Images and masks in files that SimpleITK reads: NIfTI, MetaImage, NRRD."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import SimpleITK as sitk

from dataset_conversion.geometry import blank, oriented, same_place

ENDINGS = (".nii.gz", ".nii", ".mha", ".mhd", ".nrrd")

_BYTES = {"CHAR": 1, "UCHAR": 1, "SHORT": 2, "USHORT": 2, "INT": 4, "UINT": 4, "FLOAT": 4, "LONG": 8, "DOUBLE": 8}


@dataclass(frozen=True)
class ImageFile:
    """One 3-D image with a pose of its own."""

    path: Path

    def files(self) -> list[Path]:
        """All files that belong to it."""
        return [self.path, *_data_file(self.path)]

    def faults(self) -> list[str]:
        """What is wrong with it as far as that shows without its voxels."""
        return file_faults(self.path)

    def grid(self) -> sitk.Image:
        """Its oriented grid without content."""
        reader = sitk.ImageFileReader()
        reader.SetFileName(str(self.path))
        reader.ReadImageInformation()
        if reader.GetDimension() != 3:
            raise ValueError(
                f"{self.path.name} must hold a 3-D image, got {reader.GetDimension()} axes. Split or crop it."
            )
        if reader.GetNumberOfComponents() != 1:
            raise ValueError(f"{self.path.name} must have one channel, got {reader.GetNumberOfComponents()}. Split it.")
        direction = np.asarray(reader.GetDirection()).reshape(3, 3)
        return blank(reader.GetSize(), reader.GetSpacing(), reader.GetOrigin(), direction)

    def read(self) -> sitk.Image:
        """The oriented image. What else the file's header says is left behind."""
        return without_text(oriented(sitk.ReadImage(str(self.path))))


@dataclass(frozen=True)
class MaskFile:
    """The labels of one image.

    Attributes:
        path: The file.
        has_pose: Whether its header says where it lies. If not, its index axes follow the oriented image's and it takes
            the image's pose.
    """

    path: Path
    has_pose: bool

    def files(self) -> list[Path]:
        """All files that belong to it."""
        return [self.path, *_data_file(self.path)]

    def faults(self) -> list[str]:
        """What is wrong with it as far as that shows without its voxels."""
        return file_faults(self.path)

    def read_on(self, image: sitk.Image) -> sitk.Image:
        """The mask on the grid of `image`, which is oriented.

        Raises:
            ValueError: It has another size, lies elsewhere, or holds other than whole numbers.
        """
        mask = sitk.ReadImage(str(self.path))
        if self.has_pose:
            mask = oriented(mask)
        if mask.GetSize() != image.GetSize():
            raise ValueError(
                f"the mask must have the image's size {image.GetSize()} (x, y, z), got {mask.GetSize()}. It belongs to "
                "another image, or slices are missing: compare the two."
            )
        if self.has_pose and not same_place(mask, image):
            raise ValueError(
                "the mask must lie where the image lies, got another origin, spacing or direction. Resample the mask "
                "to the image, or take the image it was drawn on."
            )
        mask.CopyInformation(image)
        return without_text(_narrowed(mask))


def file_faults(path: Path) -> list[str]:
    """A missing file, or a MetaImage whose data file has another length than its header says."""
    if not path.is_file():
        return [f"{path.name} is missing. Put it in its place, or take the case out of the list."]
    if path.name.endswith((".nii", ".nii.gz")):
        return _nifti_faults(path)
    if path.suffix != ".mhd":
        return []
    header = _meta_image_header(path)
    missing = [key for key in ("DimSize", "ElementType", "ElementDataFile") if key not in header]
    if missing:
        return [f"{path.name} is no MetaImage header: {', '.join(missing)} missing. Get the file anew."]
    if header["ElementDataFile"] == "LOCAL":
        return []
    data = path.parent / header["ElementDataFile"]
    if not data.is_file():
        return [f"{data.name}, which {path.name} names, is missing. Put it beside the header."]
    size = _BYTES.get(header["ElementType"].removeprefix("MET_"))
    if size is None or header.get("CompressedData", "False").lower() == "true":
        return []
    size *= int(header.get("ElementNumberOfChannels", "1"))
    for edge in header["DimSize"].split():
        size *= int(edge)
    size += max(int(header.get("HeaderSize", "0")), 0)
    if data.stat().st_size != size:
        found = data.stat().st_size
        return [f"{data.name} must have the {size} bytes that its header implies, got {found}. Get both files anew."]
    return []


def _nifti_faults(path: Path) -> list[str]:
    """A file that ends before its voxels do: SimpleITK fills the rest with zeros and says nothing."""
    damaged = [f"{path.name} is damaged or cut off. Get it anew."]
    try:
        nifti = nibabel.Nifti1Image.from_filename(path)
    except (nibabel.filebasedimages.ImageFileError, OSError, EOFError, ValueError, zlib.error):
        return damaged
    voxels: Any = nifti.dataobj
    expected = int(voxels.offset) + int(np.prod(nifti.shape)) * nifti.get_data_dtype().itemsize
    with path.open("rb") as f:
        if path.suffix != ".gz":
            return [] if path.stat().st_size >= expected else damaged
        f.seek(-4, 2)
        if int.from_bytes(f.read(4), "little") == expected % 2**32:  # gzip's last word is the length of the content
            return []
    try:  # several gzip members in one file, or something behind the voxels: only reading it all can tell
        with gzip.open(path) as unpacked:
            return [] if sum(len(block) for block in iter(lambda: unpacked.read(1 << 22), b"")) >= expected else damaged
    except (OSError, EOFError, zlib.error):
        return damaged


def _narrowed(mask: sitk.Image) -> sitk.Image:
    """The same labels as uint8: some tools write masks as floating point."""
    if mask.GetPixelID() == sitk.sitkUInt8:
        return mask
    narrow = sitk.Cast(mask, sitk.sitkUInt8)
    if not np.array_equal(sitk.GetArrayViewFromImage(narrow), sitk.GetArrayViewFromImage(mask)):
        raise ValueError(
            "the mask must hold whole numbers from 0 to 255, got others. It is no mask, or was interpolated."
        )
    return narrow


def without_text(image: sitk.Image) -> sitk.Image:
    """The same image without its header's free text, which could name a patient."""
    for key in image.GetMetaDataKeys():
        image.EraseMetaData(key)
    return image


def _meta_image_header(path: Path) -> dict[str, str]:
    lines = path.read_text(encoding="latin-1").splitlines()
    return {key.strip(): value.strip() for key, sign, value in (line.partition("=") for line in lines) if sign}


def _data_file(path: Path) -> list[Path]:
    name = _meta_image_header(path).get("ElementDataFile", "LOCAL") if path.suffix == ".mhd" and path.is_file() else ""
    return [] if name in ("", "LOCAL") else [path.parent / name]
