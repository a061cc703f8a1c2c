"""One classic DICOM series (one file a slice) as an image; everything that can be wrong with it, in words.

Slices are ordered by their position along the normal, never by name or number. Spacing between slices comes from the
positions, never from the slice thickness.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID

from dataset_conversion.dicom_header import Slice, is_no_image, read_header
from dataset_conversion.geometry import blank, oriented, place
from dataset_conversion.slice_order import Stack, stack_faults


@dataclass(frozen=True)
class DicomSeries:
    """The slices of one series, or of a folder that should hold just one.

    Attributes:
        paths: Its files, or one folder.
        allow_gaps: Accept slices that are thinner or thicker than the distance between them.
    """

    paths: tuple[Path, ...]
    allow_gaps: bool = False

    def files(self) -> list[Path]:
        """All files, sorted; without those that are known not to be slices."""
        if len(self.paths) == 1 and self.paths[0].is_dir():
            return sorted(f for f in self.paths[0].iterdir() if f.is_file() and not is_no_image(f))
        return list(self.paths)

    @cached_property
    def _headers(self) -> tuple[list[Slice], list[str]]:
        slices, damaged = [], []
        for file in self.files():
            try:
                header = read_header(file)
            except (InvalidDicomError, OSError, ValueError, EOFError):
                damaged.append(file.name)
            else:
                slices.extend([header] if header else [])
        return slices, damaged

    @property
    def slices(self) -> list[Slice]:
        """The headers of its images."""
        return self._headers[0]

    @property
    def side(self) -> str | None:
        """The knee's side as the series says it, None where it does not or where it contradicts itself."""
        sides = {s.side for s in self.slices}
        return sides.pop() if len(sides) == 1 else None

    def faults(self) -> list[str]:
        """What is wrong with it as far as that shows without its pixels."""
        found = []
        if damaged := self._headers[1]:
            found.append(
                f"{len(damaged)} file(s) can't be read as DICOM, {damaged[0]} first. Get them anew, or take away what "
                "is no slice."
            )
        if not self.slices:
            return found or ["there is no DICOM image. Check that the MRI was downloaded and unpacked."]
        found += _file_faults(self.slices)
        if not found:
            found += stack_faults(
                [s.position for s in self.slices],
                [s.orientation for s in self.slices],
                repeated_because=_why_repeated(self.slices),
                thickness=None if self.allow_gaps else self.slices[0].thickness,
            )
        if not found:
            try:
                pixels(pydicom.dcmread(self.slices[0].file))
            except (RuntimeError, NotImplementedError, ValueError, AttributeError):
                name = UID(self.slices[0].syntax).name
                found.append(
                    f"no decoder for its transfer syntax ({name}), or its pixels are damaged. "
                    'pip install "pylibjpeg[all]", or decompress it with gdcmconv --raw.'
                )
        return found

    @property
    def stack(self) -> Stack:
        """Order and geometry of the slices; they have no faults."""
        return Stack.of([s.position for s in self.slices], self.slices[0].orientation)

    def grid(self) -> sitk.Image:
        """Its oriented grid without content."""
        first, stack = self.slices[0], self.stack
        assert first.spacing is not None
        size = (first.shape[1], first.shape[0], len(self.slices))
        return blank(size, (first.spacing[1], first.spacing[0], stack.spacing), stack.origin, stack.direction)

    def read(self) -> sitk.Image:
        """The oriented image, in the rescaled values: whole numbers as the smallest fitting type, others as float64."""
        stack = self.stack
        files = [self.slices[i].file for i in stack.order]
        first = self.slices[0]
        assert first.spacing is not None
        image = sitk.GetImageFromArray(_one_type([pixels(pydicom.dcmread(file)) for file in files]))
        place(image, (first.spacing[1], first.spacing[0], stack.spacing), stack.origin, stack.direction)
        return oriented(image)


def pixels(dataset: pydicom.Dataset) -> np.ndarray:
    """The rescaled values of one slice, (row, column).

    SimpleITK leaves the rescaling of MR images out, hence our own: whole numbers stay whole, all else is float64.
    """
    stored = dataset.pixel_array
    slope = float(dataset.get("RescaleSlope", 1) or 1)
    intercept = float(dataset.get("RescaleIntercept", 0) or 0)
    if slope.is_integer() and intercept.is_integer():
        return stored if (slope, intercept) == (1, 0) else stored.astype(np.int64) * int(slope) + int(intercept)
    return stored.astype(np.float64) * slope + intercept


def _one_type(slices: Sequence[np.ndarray]) -> np.ndarray:
    volume = np.stack(slices)
    if volume.dtype == np.int16 or volume.dtype.kind == "f":
        return volume
    if volume.dtype == np.uint16 and volume.max() <= np.iinfo(np.int16).max:
        return volume.view(np.int16)
    low, high = int(volume.min()), int(volume.max())
    fitting = next(
        t for t in (np.int16, np.uint16, np.int32, np.int64) if np.iinfo(t).min <= low <= high <= np.iinfo(t).max
    )
    return volume.astype(fitting, copy=False)


def _why_repeated(slices: Sequence[Slice]) -> str:
    echoes, acquisitions = {s.echo for s in slices}, {s.acquisition for s in slices}
    if len(echoes) > 1:
        return f"the series holds {len(echoes)} echoes. Leave the files of one echo."
    if len(acquisitions) > 1:
        return f"the series holds {len(acquisitions)} acquisitions. Leave the files of one."
    return "duplicate slices. Leave one file for each position."


def _file_faults(slices: Sequence[Slice]) -> list[str]:
    """What is wrong with the files, one by one or among each other, before their order is looked at."""
    found = []
    if (n := len({s.series for s in slices})) > 1:
        found.append(f"the folder holds {n} series. Leave the one that belongs to the case.")
    if any(s.frames > 1 for s in slices):
        found.append("multi-frame files are not supported. Convert them to one file a slice (dcm4che's emf2sf).")
    if any(s.samples > 1 for s in slices):
        found.append("colour images are not supported. Leave out what is no MRI.")
    if cut := [s.file.name for s in slices if s.is_cut]:
        found.append(f"{len(cut)} file(s) end before their pixels do, {cut[0]} first. Get them anew.")
    if without := [s.file.name for s in slices if s.position is None or s.orientation is None or s.spacing is None]:
        found.append(
            f"{len(without)} file(s) lack position, orientation or pixel spacing, {without[0]} first. "
            "Export the original series."
        )
    if len({(s.shape, s.spacing) for s in slices}) > 1:
        found.append("its slices differ in size or pixel spacing. Leave the slices of one volume.")
    return found
