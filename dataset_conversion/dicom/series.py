"""One classic DICOM series (one file a slice) as an image, and the checks of its slices.

Slices are ordered by their position along the normal, never by name or number. The spacing between slices comes from
the positions, never from the slice thickness.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.uid import UID

from dataset_conversion.dicom.header import Slice, is_no_image, read_headers
from dataset_conversion.dicom.slice_order import Stack, stack_faults
from dataset_conversion.geometry import blank, oriented, place


@dataclass(frozen=True)
class DicomSeries:
    """The slices of one series, or of a folder that should hold one series only."""

    paths: tuple[Path, ...]  # the files, or one folder
    allow_gaps: bool = False  # slices may be thinner or thicker than the distance between them

    def files(self) -> list[Path]:
        if len(self.paths) == 1 and self.paths[0].is_dir():
            return sorted(f for f in self.paths[0].iterdir() if f.is_file() and not is_no_image(f))
        return list(self.paths)

    @cached_property
    def _headers(self) -> tuple[list[Slice], list[str]]:
        return read_headers(self.files())

    @property
    def slices(self) -> list[Slice]:
        return self._headers[0]

    @property
    def side(self) -> str | None:
        """The knee's side by the headers; None where they name none or differ."""
        sides = {s.side for s in self.slices}
        return sides.pop() if len(sides) == 1 else None

    def faults(self) -> list[str]:
        slices, damaged = self._headers
        found = []
        if damaged:
            found.append(
                f"{len(damaged)} file(s) can't be read as DICOM, {damaged[0]} first. Get them anew, or take away what "
                "is no slice."
            )
        if not slices:
            return found or ["there is no DICOM image. Check that the MRI was downloaded and unpacked."]
        found += _file_faults(slices)
        if not found:
            places, cosines = [s.position for s in slices], [s.orientation for s in slices]
            thickness = None if self.allow_gaps else slices[0].thickness
            found = stack_faults(places, cosines, repeated_because=_why_repeated(slices), thickness=thickness)
        if not found:
            try:
                pixels(pydicom.dcmread(slices[0].file))
            except (RuntimeError, NotImplementedError, ValueError, AttributeError):
                found.append(
                    f"no decoder for its transfer syntax ({UID(slices[0].syntax).name}), or its pixels are damaged. "
                    'pip install "pylibjpeg[all]", or decompress it with gdcmconv --raw.'
                )
        return found

    @property
    def stack(self) -> Stack:
        """Order and geometry of the slices, for a series without faults."""
        return Stack.of([s.position for s in self.slices], self.slices[0].orientation)

    def stored_grid(self) -> tuple[Sequence[int], Sequence[float], Sequence[float], np.ndarray]:
        """Size (x, y, z), spacing (x, y, z), origin and direction of the slices as they are stored."""
        first, stack = self.slices[0], self.stack
        assert first.spacing is not None
        size_xyz = (*first.shape[::-1], len(self.slices))
        return size_xyz, (*first.spacing[::-1], stack.spacing), stack.origin, stack.direction

    def grid(self) -> sitk.Image:
        return blank(*self.stored_grid())

    def read(self) -> sitk.Image:
        """The oriented image in rescaled values: whole numbers in the smallest fitting type, others as float64."""
        slices = [pixels(pydicom.dcmread(self.slices[i].file)) for i in self.stack.order]
        image = sitk.GetImageFromArray(_one_type(slices))
        place(image, *self.stored_grid()[1:])
        return oriented(image)


def pixels(dataset: pydicom.Dataset) -> np.ndarray:
    """The rescaled values of one slice, (row, column): whole numbers stay whole, others become float64."""
    # SimpleITK does not rescale MR images
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
    low, high = int(volume.min()), int(volume.max())
    if volume.dtype == np.uint16 and high <= np.iinfo(np.int16).max:
        return volume.view(np.int16)
    types = (np.int16, np.uint16, np.int32, np.int64)
    fitting = next(t for t in types if np.iinfo(t).min <= low <= high <= np.iinfo(t).max)
    return volume.astype(fitting, copy=False)


def _why_repeated(slices: Sequence[Slice]) -> str:
    echoes, acquisitions = {s.echo for s in slices}, {s.acquisition for s in slices}
    if len(echoes) > 1:
        return f"the series holds {len(echoes)} echoes. Leave the files of one echo."
    if len(acquisitions) > 1:
        return f"the series holds {len(acquisitions)} acquisitions. Leave the files of one."
    return "duplicate slices. Leave one file for each position."


def _file_faults(slices: Sequence[Slice]) -> list[str]:
    """Faults of the files, one by one or among each other, before their order is looked at."""
    found = []
    if (n := len({s.series for s in slices})) > 1:
        found.append(f"the folder holds {n} series. Leave the one that belongs to the case.")
    if any(s.frames > 1 for s in slices):
        found.append("multi-frame files are not supported. Convert them to one file a slice (dcm4che's emf2sf).")
    if any(s.samples > 1 for s in slices):
        found.append("colour images are not supported. Leave out what is no MRI.")
    if cut := [s.file.name for s in slices if s.is_cut]:
        found.append(f"{len(cut)} file(s) end before their pixels do, {cut[0]} first. Get them anew.")
    if without := [s.file.name for s in slices if None in (s.position, s.orientation, s.spacing)]:
        found.append(
            f"{len(without)} file(s) lack position, orientation or pixel spacing, {without[0]} first. "
            "Export the original series."
        )
    if len({(s.shape, s.spacing) for s in slices}) > 1:
        found.append("its slices differ in size or pixel spacing. Leave the slices of one volume.")
    return found
