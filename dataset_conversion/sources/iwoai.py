"""IWOAI 2019: HDF5 volumes `train_001_V00.im` with masks `train_001_V00.seg`, no pose, no spacing.

A volume is (rows, columns, slices) of a sagittal scan: head to foot, front to back, and right to left or left to right
(the files do not tell). The masks hold one plane of 0 and 1 for each structure. The scans are OAI's DESS.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import SimpleITK as sitk

from dataset_conversion.case import Source, paired
from dataset_conversion.geometry import place

PLANES = (
    "femoral_cartilage",
    "medial_tibial_cartilage",
    "lateral_tibial_cartilage",
    "patellar_cartilage",
    "lateral_meniscus",
    "medial_meniscus",
)
SPACING_XYZ_MM = (0.7, 0.36458334, 0.36458334)
LICENCE = "IWOAI 2019 challenge: see its terms."
REFERENCE = (
    "Desai A. D. et al. (2021), The International Workshop on Osteoarthritis Imaging Knee MRI Segmentation Challenge, "
    "Radiology: Artificial Intelligence 3(3). https://arxiv.org/abs/2004.14003"
)


@dataclass(frozen=True)
class _Hdf5File:
    path: Path
    axes: ClassVar[int]

    def files(self) -> list[Path]:
        return [self.path]

    def faults(self) -> list[str]:
        try:
            with _volume(self.path) as volume:
                axes = volume.ndim
        except OSError:
            return [f"{self.path.name} can't be read as HDF5. Get it anew."]
        except ValueError as error:
            return [f"{self.path.name}: {error}"]
        if axes != self.axes:
            return [f"{self.path.name} must have {self.axes} axes, got {axes}. It is another set's file."]
        return []


class Hdf5Image(_Hdf5File):
    """The scan in one `.im` file."""

    axes = 3

    def grid(self) -> sitk.Image:
        with _volume(self.path) as volume:
            return _placed(sitk.Image(list(volume.shape[::-1]), sitk.sitkUInt8))

    def read(self) -> sitk.Image:
        """The image, its rows reversed so that z runs from foot to head."""
        with _volume(self.path) as volume:
            return _placed(sitk.GetImageFromArray(np.ascontiguousarray(volume[()][::-1])))


class Hdf5Mask(_Hdf5File):
    """The structures in one `.seg` file."""

    axes = 4

    def read_on(self, image: sitk.Image) -> sitk.Image:
        """The mask on the grid of `image`, 1 for the first plane and so on; a later plane covers an earlier one."""
        with _volume(self.path) as volume:
            planes = volume[()][::-1]
        expected = (*image.GetSize()[::-1], len(PLANES))
        if planes.shape != expected:
            raise ValueError(
                f"the mask must have the shape {expected}, got {planes.shape}. It belongs to another image: compare "
                "the two."
            )
        labels = np.zeros(planes.shape[:3], dtype=np.uint8)
        for number in range(1, len(PLANES) + 1):
            labels[planes[..., number - 1] > 0] = number
        mask = sitk.GetImageFromArray(labels)
        mask.CopyInformation(image)
        return mask


def find(source: Path) -> Source:
    """All cases below a folder; a scan without a mask is a test case."""
    images = {file.stem: Hdf5Image(file) for file in sorted(source.rglob("*.im"))}
    masks = {file.stem: Hdf5Mask(file) for file in sorted(source.rglob("*.seg"))}
    if not images:
        raise FileNotFoundError(f"--source must hold train_001_V00.im and so on, got {source}. Unpack the data there.")
    _h5py()
    # V00 and V01 are visits of one patient
    found = paired("iwoai", images, masks, "{}.im", patient=lambda name: re.sub(r"_V\d+$", "", name))
    return Source("iwoai", *found, dict(enumerate(PLANES, start=1)), LICENCE, REFERENCE)


def _placed(image: sitk.Image) -> sitk.Image:
    place(image, SPACING_XYZ_MM, (0, 0, 0), np.eye(3))
    return image


def _h5py() -> Any:
    try:
        import h5py
    except ImportError as error:
        raise ValueError(
            'IWOAI\'s files need h5py to be read. In the source folder: pip install ".[knee-data]".'
        ) from error
    return h5py


@contextmanager
def _volume(path: Path) -> Iterator[Any]:
    """The open HDF5 dataset of a file."""
    with _h5py().File(path, "r") as file:
        if "data" not in file:
            raise ValueError("the file must hold a dataset named data, got none. Get it anew.")
        yield file["data"]
