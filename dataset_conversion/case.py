"""Cases of a source, and what is known about them all."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import SimpleITK as sitk

from dataset_conversion.faults import Faults


class _Files(Protocol):
    def files(self) -> list[Path]:
        """All files that belong to the image."""

    def faults(self) -> list[str]:
        """Faults of the image that show without reading its voxels."""


class ImageSource(_Files, Protocol):
    """A scan: `ImageFile`, `DicomSeries`, `Hdf5Image`. Its grid and image are oriented, see `geometry`."""

    def grid(self) -> sitk.Image:
        """The scan's grid without content."""

    def read(self) -> sitk.Image:
        """The image."""


class MaskSource(_Files, Protocol):
    """The mask of a scan: `MaskFile`, `Hdf5Mask`."""

    def read_on(self, image: sitk.Image) -> sitk.Image:
        """The mask on the grid of `image`; ValueError where it does not fit."""


@dataclass(frozen=True)
class Case:
    """One scan with its mask."""

    identifier: str  # nnU-Net's; holds the source's own id
    patient: str  # all scans of a patient go to the same side of a split
    image: ImageSource
    mask: MaskSource | None  # None for a test case without labels
    is_test: bool = False
    promised_side: str | None = None  # "left" or "right", which the source says all its knees are

    def fingerprint(self) -> str:
        """A digest that changes when a file of the case changes, by name, size or time of change."""
        digest = hashlib.sha256()
        for file in self.image.files() + (self.mask.files() if self.mask else []):
            stat = file.stat()
            digest.update(f"{file.name} {stat.st_size} {stat.st_mtime_ns}\n".encode())
        return digest.hexdigest()


@dataclass(frozen=True)
class Source:
    """All cases of one source."""

    kind: str  # as in the command
    cases: tuple[Case, ...]  # sorted by identifier
    faults: Faults  # of cases that are faulty already when they are looked for
    structures: Mapping[int, str]  # meaning of the numbers in the masks; 0 is background
    licence: str
    reference: str  # the publication to cite
    channel: str = "MRI"  # in dataset.json; nnU-Net normalises "CT" in another way
    lists: tuple[tuple[str, ...], ...] = ()  # patients of each half of the source's own two-fold split


def paired(
    kind: str,
    images: Mapping[str, ImageSource],
    masks: Mapping[str, MaskSource],
    image_name: str,
    patient: Callable[[str], str] = str,
) -> tuple[tuple[Case, ...], Faults]:
    """Cases of images and masks with the same id: without a mask a test case, without an image a fault."""
    cases = [
        Case(f"{kind}_{key}", f"{kind}_{patient(key)}", image, masks.get(key), is_test=key not in masks)
        for key, image in images.items()
    ]
    missing = {key: image_name.format(key) for key in masks if key not in images}
    return tuple(cases), {
        f"{kind}_{key}": [f"its image {name} is missing. Put it there."] for key, name in missing.items()
    }
