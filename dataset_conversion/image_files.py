"""Images and masks in files that SimpleITK reads: NIfTI, MetaImage, NRRD."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from dataset_conversion.geometry import blank, oriented, same_place
from nnunet_eas.support.image_checks import check_image

ENDINGS = (".nii.gz", ".nii", ".mha", ".mhd", ".nrrd")

_BYTES = {"CHAR": 1, "UCHAR": 1, "SHORT": 2, "USHORT": 2, "INT": 4, "UINT": 4, "FLOAT": 4, "LONG": 8, "DOUBLE": 8}


@dataclass(frozen=True)
class _File:
    path: Path

    def files(self) -> list[Path]:
        return [self.path, *_data_file(self.path)]

    def faults(self) -> list[str]:
        return file_faults(self.path)


@dataclass(frozen=True)
class ImageFile(_File):
    """One 3-D image with a pose of its own."""

    def grid(self) -> sitk.Image:
        reader = sitk.ImageFileReader()
        reader.SetFileName(str(self.path))
        reader.ReadImageInformation()
        axes, channels = reader.GetDimension(), reader.GetNumberOfComponents()
        if axes != 3:
            raise ValueError(f"{self.path.name} must hold a 3-D image, got {axes} axes. Split or crop it.")
        if channels != 1:
            raise ValueError(f"{self.path.name} must have one channel, got {channels}. Split it.")
        direction = np.asarray(reader.GetDirection()).reshape(3, 3)
        return blank(reader.GetSize(), reader.GetSpacing(), reader.GetOrigin(), direction)

    def read(self) -> sitk.Image:
        """The oriented image, without the file's other header fields."""
        return without_text(oriented(sitk.ReadImage(str(self.path))))


@dataclass(frozen=True)
class MaskFile(_File):
    """The labels of one image. Without a pose of their own, their index axes follow the oriented image's."""

    has_pose: bool

    def read_on(self, image: sitk.Image) -> sitk.Image:
        """The mask on the grid of the oriented `image`; ValueError where it does not fit."""
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
    """Faults of an image file: missing, truncated NIfTI, or MetaImage data of another length than its header says."""
    if not path.is_file():
        return [f"{path.name} is missing. Put it in its place, or take the case out of the list."]
    if path.suffix == ".mhd":
        return _meta_image_faults(path)
    try:
        check_image(path)
    except (OSError, RuntimeError):
        return [f"{path.name} is damaged or cut off. Get it anew."]
    return []


def _meta_image_faults(path: Path) -> list[str]:
    header = _meta_image_header(path)
    if missing := [key for key in ("DimSize", "ElementType", "ElementDataFile") if key not in header]:
        return [f"{path.name} is no MetaImage header: {', '.join(missing)} missing. Get the file anew."]
    voxel_bytes = _BYTES.get(header["ElementType"].removeprefix("MET_"))
    for data in _data_file(path):
        if not data.is_file():
            return [f"{data.name}, which {path.name} names, is missing. Put it beside the header."]
        if voxel_bytes is None or header.get("CompressedData", "False").lower() == "true":
            continue
        implied = math.prod(map(int, header["DimSize"].split())) * int(header.get("ElementNumberOfChannels", "1"))
        implied = implied * voxel_bytes + max(int(header.get("HeaderSize", "0")), 0)
        if (found := data.stat().st_size) != implied:
            wrong = f"{data.name} must have the {implied} bytes that its header implies, got {found}"
            return [f"{wrong}. Get both files anew."]
    return []


def _meta_image_header(path: Path) -> dict[str, str]:
    lines = path.read_text(encoding="latin-1").splitlines()
    return {key.strip(): value.strip() for key, sign, value in (line.partition("=") for line in lines) if sign}


def _data_file(path: Path) -> list[Path]:
    name = _meta_image_header(path).get("ElementDataFile", "LOCAL") if path.suffix == ".mhd" and path.is_file() else ""
    return [] if name in ("", "LOCAL") else [path.parent / name]


def _narrowed(mask: sitk.Image) -> sitk.Image:
    """The same labels as uint8; some tools write masks as floating point."""
    if mask.GetPixelID() == sitk.sitkUInt8:
        return mask
    narrow = sitk.Cast(mask, sitk.sitkUInt8)
    if not np.array_equal(sitk.GetArrayViewFromImage(narrow), sitk.GetArrayViewFromImage(mask)):
        rule = "the mask must hold whole numbers from 0 to 255"
        raise ValueError(f"{rule}, got others. It is no mask, or was interpolated.")
    return narrow


def without_text(image: sitk.Image) -> sitk.Image:
    """The image without its header's free text, which could name a patient."""
    for key in image.GetMetaDataKeys():
        image.EraseMetaData(key)
    return image
