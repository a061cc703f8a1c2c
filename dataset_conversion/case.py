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
        """What is wrong with the image as far as that shows without its voxels."""


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
    """One scan with its mask.

    Attributes:
        identifier: nnU-Net's case identifier; holds the source's own id.
        patient: The person scanned; all scans of a patient go to the same side of a split.
        image: The scan.
        mask: Its labels; None for a test case without them.
        is_test: Whether the case goes to imagesTs.
        promised_side: The side, "left" or "right", that the source says all its knees have.
    """

    identifier: str
    patient: str
    image: ImageSource
    mask: MaskSource | None
    is_test: bool = False
    promised_side: str | None = None

    def fingerprint(self) -> str:
        """A digest that changes when a file of the case changes, by name, size or time of change."""
        digest = hashlib.sha256()
        for file in self.image.files() + (self.mask.files() if self.mask else []):
            stat = file.stat()
            digest.update(f"{file.name} {stat.st_size} {stat.st_mtime_ns}\n".encode())
        return digest.hexdigest()


@dataclass(frozen=True)
class Source:
    """All cases of one source.

    Attributes:
        kind: Name of the source, as in the command.
        cases: Sorted by identifier.
        faults: Cases that are faulty already when they are looked for.
        structures: Meaning of the numbers in the masks; 0 is background.
        licence: Of the data.
        reference: The publication to cite.
        channel: Name of the image's channel in dataset.json; nnU-Net normalises "CT" in another way.
        lists: The patients of each half of the source's own two-fold split; empty without such a split.
    """

    kind: str
    cases: tuple[Case, ...]
    faults: Faults
    structures: Mapping[int, str]
    licence: str
    reference: str
    channel: str = "MRI"
    lists: tuple[tuple[str, ...], ...] = ()


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
