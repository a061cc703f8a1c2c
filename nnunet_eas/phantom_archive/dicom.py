"""Writes a scan as OAI stores it: one classic MR object per sagittal slice, in files without extension."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage, generate_uid
from pydicom.valuerep import format_number_as_ds

from nnunet_eas.phantom_archive.case import ArchiveCase


def write_series(folder: Path, case: ArchiveCase, *, index: int) -> None:
    """Writes the slices 001, 002 and so on, into a new folder.

    Columns run to the back, rows to the feet, and slices from the patient's right to left. What the standard leaves
    open differs by the case's index in the archive: whether it says how to rescale its pixels, or the distance between
    slices; whether the files are numbered in the order of positions, and the instances as the files.
    """
    planes = case.knee.image.astype(np.uint16)[::-1]
    depth, width, count = planes.shape
    _, y, z = (case.affine[:3, :3] / case.knee.spacing[::-1]).T
    rng = np.random.default_rng(int(case.series.name))
    common = _common(case, index, rng)
    common.Rows, common.Columns, common.PixelRepresentation = depth, width, 0
    common.ImageOrientationPatient = _decimals([*y, *-z])
    if index % 2 == 0:
        common.RescaleSlope, common.RescaleIntercept = _decimals((1, 0))
    if index // 2 % 2 == 0:
        common.SpacingBetweenSlices = format_number_as_ds(case.knee.spacing[2])

    folder.mkdir(parents=True)
    in_order, shuffled = np.arange(count) + 1, rng.permutation(count) + 1
    file_numbers = in_order if index % 3 == 0 else shuffled
    instance_numbers = rng.permutation(count) + 1 if index % 3 == 2 else file_numbers
    for place in range(count):
        item = deepcopy(common)
        item.SOPInstanceUID = item.file_meta.MediaStorageSOPInstanceUID = _uid(case, f"instance {place}")
        item.InstanceNumber = int(instance_numbers[place])
        item.ImagePositionPatient = _decimals(case.position((place, 0, depth - 1)))
        item.PixelData = np.ascontiguousarray(planes[:, :, place]).tobytes()
        item.save_as(folder / f"{file_numbers[place]:03d}", enforce_file_format=True)


def _common(case: ArchiveCase, index: int, rng: np.random.Generator) -> Dataset:
    """The attributes that all slices of a series share, apart from their grid."""
    day = case.series.parts[2]
    born = datetime.strptime(day, "%Y%m%d") - timedelta(days=int(rng.integers(45 * 365, 79 * 365)))
    item = Dataset()
    item.file_meta = FileMetaDataset()
    item.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    item.file_meta.MediaStorageSOPClassUID = item.SOPClassUID = MRImageStorage
    item.ImageType = ["ORIGINAL", "PRIMARY", "OTHER"]
    item.StudyDate = item.SeriesDate = item.AcquisitionDate = item.ContentDate = day
    item.StudyTime = item.SeriesTime = item.AcquisitionTime = item.ContentTime = "101500"
    item.AccessionNumber = item.ReferringPhysicianName = item.ScanOptions = item.PositionReferenceIndicator = ""
    item.Modality, item.Manufacturer, item.StudyDescription = "MR", "PHANTOM", "OAI^MR^KNEE"
    item.SeriesDescription = f"SAG_3D_DESS_{case.side.upper()}"  # alone tells the side, as in OAI's scans
    item.PatientName, item.PatientID = f"PHANTOM^CASE{index:04d}", case.identifier
    item.PatientBirthDate, item.PatientSex = f"{born:%Y%m%d}", str(rng.choice(["F", "M"]))
    item.BodyPartExamined, item.PatientPosition = "KNEE", "FFS"
    item.ScanningSequence, item.SequenceVariant, item.MRAcquisitionType = "GR", "SS", "3D"
    item.SliceThickness = format_number_as_ds(case.knee.spacing[2])
    item.RepetitionTime, item.EchoTime, item.FlipAngle = "16.3", "4.7", "25"
    item.EchoNumbers, item.EchoTrainLength = 1, 1
    item.StudyInstanceUID = _uid(case, "study")
    item.SeriesInstanceUID = _uid(case, "series")
    item.FrameOfReferenceUID = _uid(case, "frame of reference")
    item.StudyID, item.SeriesNumber, item.AcquisitionNumber = "1", 5, 1
    item.SamplesPerPixel, item.PhotometricInterpretation = 1, "MONOCHROME2"
    item.PixelSpacing = _decimals(case.knee.spacing[:2])
    item.BitsAllocated, item.BitsStored, item.HighBit = 16, 16, 15
    return item


def _decimals(values: Sequence[float] | np.ndarray) -> list[str]:
    """DICOM's decimal strings: 16 characters at most, which keep 10^-11 mm or better here."""
    return [format_number_as_ds(float(value)) for value in values]


def _uid(case: ArchiveCase, what: str) -> UID:
    return generate_uid(entropy_srcs=[case.series.as_posix(), what])
