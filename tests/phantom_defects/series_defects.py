"""Defects that only a DICOM series can have."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import HTJ2KLossless, RLELossless, generate_uid
from pydicom.valuerep import format_number_as_ds

from phantom_defects.defect import Defect
from phantom_defects.files import CaseFiles, add_copies, edit, set_pixels

GAP_SHARE = 5 / 6.5
_OFF_PLACE = 0.3
_TILT_DEG = 5.0


def _left_knee(files: CaseFiles) -> None:
    for path in files.slices:
        edit(path, lambda item: setattr(item, "SeriesDescription", "SAG_3D_DESS_LEFT"))


def _slice_thickness(files: CaseFiles) -> None:
    thickness = format_number_as_ds(files.case.knee.spacing[2] * GAP_SHARE)
    for path in files.slices:
        edit(path, lambda item: setattr(item, "SliceThickness", thickness))


def _uneven_slices(files: CaseFiles) -> None:
    def move(item: Dataset) -> None:
        position = np.array(item.ImagePositionPatient, dtype=float) + _OFF_PLACE * files.case.affine[:3, 0]
        item.ImagePositionPatient = [format_number_as_ds(float(p)) for p in position]

    edit(files.inner_slice, move)


def _mixed_orientation(files: CaseFiles) -> None:
    def tilt(item: Dataset) -> None:
        orientation = np.array(item.ImageOrientationPatient, dtype=float)
        along_columns, along_rows = orientation[:3], orientation[3:]
        angle = np.deg2rad(_TILT_DEG)
        tilted = np.cos(angle) * along_rows + np.sin(angle) * np.cross(along_columns, along_rows)
        item.ImageOrientationPatient = [format_number_as_ds(float(o)) for o in (*along_columns, *tilted)]

    edit(files.inner_slice, tilt)


def _missing_slice(files: CaseFiles) -> None:
    files.inner_slice.unlink()


def _every_other_slice(files: CaseFiles) -> None:
    for path in files.slices_in_space[1::2]:
        path.unlink()


def _duplicate_slice(files: CaseFiles) -> None:
    add_copies(files, [files.inner_slice], lambda item: None)


def _two_echoes(files: CaseFiles) -> None:
    def change(item: Dataset) -> None:
        item.EchoNumbers, item.EchoTime = 2, "27.9"
        set_pixels(item, item.pixel_array // 2)

    add_copies(files, files.slices, change)


def _two_acquisitions(files: CaseFiles) -> None:
    def change(item: Dataset) -> None:
        item.AcquisitionNumber, item.AcquisitionTime = 2, "102700"
        set_pixels(item, item.pixel_array * 0.9)

    add_copies(files, files.slices, change)


def _several_series(files: CaseFiles) -> None:
    def change(item: Dataset) -> None:
        item.SeriesInstanceUID = generate_uid(entropy_srcs=[item.SeriesInstanceUID, "second"])
        item.SeriesNumber += 1
        item.SeriesDescription = f"SAG_T2_MAP_{files.case.side.upper()}"
        set_pixels(item, item.pixel_array // 4)

    add_copies(files, files.slices, change)


def _compressed(files: CaseFiles) -> None:
    for path in files.slices:
        # pydicom's own encoder, lest the bytes depend on what else is installed.
        edit(path, lambda item: item.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False))


def _no_codec(files: CaseFiles) -> None:
    def change(item: Dataset) -> None:
        item.file_meta.TransferSyntaxUID = HTJ2KLossless
        item.PixelData = encapsulate([b"no code stream"])
        item["PixelData"].VR = "OB"
        item["PixelData"].is_undefined_length = True

    for path in files.slices:
        edit(path, change)


def _no_position(files: CaseFiles) -> None:
    for path in files.slices:
        edit(path, lambda item: delattr(item, "ImagePositionPatient"))


def _truncated_slice(files: CaseFiles) -> None:
    path = files.slices[len(files.slices) // 2]
    lost = len(pydicom.dcmread(path).PixelData) // 2
    path.write_bytes(path.read_bytes()[:-lost])


def _unreadable_slice(files: CaseFiles) -> None:
    path = files.slices[len(files.slices) // 2 - 1]
    path.write_bytes(np.random.default_rng(0).bytes(path.stat().st_size))


SERIES_DEFECTS: dict[Defect, Callable[[CaseFiles], None]] = {
    Defect.LEFT_KNEE: _left_knee,
    Defect.SLICE_THICKNESS: _slice_thickness,
    Defect.UNEVEN_SLICES: _uneven_slices,
    Defect.MIXED_ORIENTATION: _mixed_orientation,
    Defect.MISSING_SLICE: _missing_slice,
    Defect.EVERY_OTHER_SLICE: _every_other_slice,
    Defect.DUPLICATE_SLICE: _duplicate_slice,
    Defect.TWO_ECHOES: _two_echoes,
    Defect.TWO_ACQUISITIONS: _two_acquisitions,
    Defect.SEVERAL_SERIES: _several_series,
    Defect.COMPRESSED: _compressed,
    Defect.NO_CODEC: _no_codec,
    Defect.NO_POSITION: _no_position,
    Defect.TRUNCATED_SLICE: _truncated_slice,
    Defect.UNREADABLE_SLICE: _unreadable_slice,
}
