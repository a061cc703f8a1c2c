"""Files of one case, and the operations of defects on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from nnunet_eas.phantom_archive import ArchiveCase


@dataclass(frozen=True)
class CaseFiles:
    """Files of one case.

    Attributes:
        case: The true knee.
        mask: The mask's header.
        mri: The folder of a DICOM series, or the one file of another format.
        paths_list: ``oai_mri_paths.txt``.
    """

    case: ArchiveCase
    mask: Path
    mri: Path
    paths_list: Path

    @property
    def slices(self) -> list[Path]:
        """The series' files by name."""
        return sorted(path for path in self.mri.iterdir() if path.name.isdigit())

    @property
    def slices_in_space(self) -> list[Path]:
        """The series' files in the order of their positions along the normal."""

        def along_normal(path: Path) -> float:
            item = pydicom.dcmread(path, stop_before_pixels=True)
            orientation = np.array(item.ImageOrientationPatient, dtype=float)
            normal = np.cross(orientation[:3], orientation[3:])
            return float(normal @ np.array(item.ImagePositionPatient, dtype=float))

        return sorted(self.slices, key=along_normal)

    @property
    def inner_slice(self) -> Path:
        """One that has neighbours on both sides."""
        slices = self.slices_in_space
        return slices[len(slices) // 2]


def edit(path: Path, change: Callable[[Dataset], object]) -> None:
    """Reads a slice, changes it, writes it."""
    item = pydicom.dcmread(path)
    change(item)
    item.save_as(path, enforce_file_format=True)


def add_copies(files: CaseFiles, originals: list[Path], change: Callable[[Dataset], object]) -> None:
    """Writes copies of slices under the numbers that follow, as instances of their own.

    Args:
        files: The case.
        originals: The slices to copy.
        change: What else is different about each copy.
    """
    first = int(files.slices[-1].name) + 1
    for number, original in enumerate(originals, start=first):
        item = pydicom.dcmread(original)
        item.InstanceNumber = number
        item.SOPInstanceUID = generate_uid(entropy_srcs=[item.SOPInstanceUID, str(number)])
        item.file_meta.MediaStorageSOPInstanceUID = item.SOPInstanceUID
        change(item)
        item.save_as(original.with_name(f"{number:03d}"), enforce_file_format=True)


def set_pixels(item: Dataset, values: np.ndarray) -> None:
    """Puts other stored values into an uncompressed slice."""
    item.PixelData = np.ascontiguousarray(values).astype(item.pixel_array.dtype).tobytes()
