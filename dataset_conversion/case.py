"""What a source yields: its cases, and what is known about them all."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import SimpleITK as sitk


class ImageSource(Protocol):
    """A scan somewhere: `ImageFile`, `DicomSeries`, `Hdf5Image`. What it returns is oriented, see `geometry`."""

    def files(self) -> list[Path]:
        """All files that belong to it."""

    def faults(self) -> list[str]:
        """What is wrong with it as far as that shows without its voxels."""

    def grid(self) -> sitk.Image:
        """Its grid without content."""

    def read(self) -> sitk.Image:
        """The image."""


class MaskSource(Protocol):
    """The labels of a scan: `MaskFile`, `Hdf5Mask`."""

    def files(self) -> list[Path]:
        """All files that belong to it."""

    def faults(self) -> list[str]:
        """What is wrong with it as far as that shows without its voxels."""

    def read_on(self, image: sitk.Image) -> sitk.Image:
        """The mask on the grid of `image`; ValueError where it does not fit."""


@dataclass(frozen=True)
class Case:
    """One scan with its mask.

    Attributes:
        identifier: nnU-Net's case identifier; holds the source's own id.
        patient: Whose knee it is: no patient may stand on both sides of a split.
        image: The scan.
        mask: Its labels; None for a test case that has none.
        is_test: Whether it goes to imagesTs.
        promised_side: The side that the source says all its knees have.
    """

    identifier: str
    patient: str
    image: ImageSource
    mask: MaskSource | None
    is_test: bool = False
    promised_side: str | None = None

    def fingerprint(self) -> str:
        """Changes when a file of the source changes (by name, size or time of change)."""
        digest = hashlib.sha256()
        for file in self.image.files() + (self.mask.files() if self.mask else []):
            stat = file.stat()
            digest.update(f"{file.name} {stat.st_size} {stat.st_mtime_ns}\n".encode())
        return digest.hexdigest()


@dataclass(frozen=True)
class Source:
    """All cases of one source.

    Attributes:
        kind: As on the command line.
        cases: Sorted by identifier.
        faults: Per identifier, what is wrong already with finding it.
        structures: What the numbers in its masks mean; 0 is background.
        channel: Name of the image's channel in dataset.json (nnU-Net normalises "CT" in another way).
        licence: Of the data.
        reference: Whom to cite.
        lists: Official groups of case identifiers (the two halves of a two-fold split), if there are any.
    """

    kind: str
    cases: tuple[Case, ...]
    faults: Mapping[str, Sequence[str]]
    structures: Mapping[int, str]
    licence: str
    reference: str
    channel: str = "MRI"
    lists: tuple[tuple[str, ...], ...] = field(default=())
