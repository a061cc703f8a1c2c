"""A scan as OAI keeps it: one classic MR object per sagittal slice, in files without extension."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage, generate_uid
from pydicom.valuerep import format_number_as_ds

from nnunet_eas.phantom_archive.case import ArchiveCase, Flips


def write_series(folder: Path, case: ArchiveCase, *, index: int, flips: Flips, rescale: tuple[float, float]) -> None:
    """Writes the slices 001, 002 and so on.

    Usually columns run to the back, rows to the feet, and slices from the patient's right to left. What the standard
    leaves open differs from case to case: every second case says how to rescale its pixels, pairs of cases say the
    distance between slices or do not, and of three cases one is numbered in the order of its positions, one in another
    order, and in one the instance numbers disagree with the file names on top of that.

    Args:
        folder: Is created.
        case: What to write.
        index: The case's place in the archive.
        flips: Whether columns, rows and the order of slices are reversed.
        rescale: RescaleSlope and RescaleIntercept; (1, 0) is what the standard takes for granted.
    """
    columns_flipped, rows_flipped, slices_flipped = flips
    stored = _stored_values(case.knee.image, rescale)
    planes = stored[:: 1 if rows_flipped else -1, :: -1 if columns_flipped else 1, :: -1 if slices_flipped else 1]
    depth, width, count = planes.shape

    _, y, z = (case.affine[:3, :3] / case.knee.spacing[::-1]).T
    along_columns, along_rows = (-y if columns_flipped else y), (z if rows_flipped else -z)
    rng = np.random.default_rng(int(case.series.name))
    common = _common(case, index, rng)
    common.Rows, common.Columns = depth, width
    common.ImageOrientationPatient = _decimals([*along_columns, *along_rows])
    common.PixelRepresentation = int(stored.dtype.kind == "i")
    if rescale != (1, 0) or index % 2 == 0:
        common.RescaleSlope, common.RescaleIntercept = _decimals(rescale)
    if index // 2 % 2 == 0:
        common.SpacingBetweenSlices = format_number_as_ds(case.knee.spacing[2])

    folder.mkdir(parents=True)
    corner_yz = (width - 1 if columns_flipped else 0, 0 if rows_flipped else depth - 1)
    file_numbers, instance_numbers = _numbering(count, index, rng)
    for place in range(count):
        corner = case.position((count - 1 - place if slices_flipped else place, *corner_yz))
        item = deepcopy(common)
        item.SOPInstanceUID = item.file_meta.MediaStorageSOPInstanceUID = _uid(case, f"instance {place}")
        item.InstanceNumber = instance_numbers[place]
        item.ImagePositionPatient = _decimals(corner)
        item.PixelData = np.ascontiguousarray(planes[:, :, place]).tobytes()
        item.save_as(folder / f"{file_numbers[place]:03d}", enforce_file_format=True)


def _stored_values(image: np.ndarray, rescale: tuple[float, float]) -> np.ndarray:
    """The pixels whose rescaling gives the image: uint16 where none is negative, else int16.

    Raises:
        ValueError: Where there are none.
    """
    slope, intercept = rescale
    values = np.rint((image.astype(np.float64) - intercept) / slope) if slope else np.full(image.shape, np.inf)
    dtype = np.uint16 if values.min() >= 0 else np.int16
    limits = np.iinfo(dtype)
    fits = values.min() >= limits.min and values.max() <= limits.max
    if not fits or not np.array_equal(values * slope + intercept, image):
        raise ValueError(
            f"rescale must let 16-bit integers give the image back exactly, got {rescale}. "
            "Take a slope of 1, 0.5 or 0.25 and a whole intercept of a few thousand at most."
        )
    return values.astype(dtype)


def _numbering(count: int, index: int, rng: np.random.Generator) -> tuple[list[int], list[int]]:
    """File number and InstanceNumber of each slice in the order of positions."""
    in_order, shuffled = np.arange(count) + 1, rng.permutation(count) + 1
    files = in_order if index % 3 == 0 else shuffled
    instances = rng.permutation(count) + 1 if index % 3 == 2 else files
    return files.tolist(), instances.tolist()


def _common(case: ArchiveCase, index: int, rng: np.random.Generator) -> Dataset:
    """What all slices of a series share, apart from their grid."""
    day = case.series.parts[2]
    born = datetime.strptime(day, "%Y%m%d") - timedelta(days=int(rng.integers(45 * 365, 79 * 365)))
    spacing_z, spacing_y, spacing_x = case.knee.spacing
    item = Dataset()
    item.file_meta = FileMetaDataset()
    item.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    item.file_meta.MediaStorageSOPClassUID = item.SOPClassUID = MRImageStorage
    item.ImageType = ["ORIGINAL", "PRIMARY", "OTHER"]
    item.StudyDate = item.SeriesDate = item.AcquisitionDate = item.ContentDate = day
    item.StudyTime = item.SeriesTime = item.AcquisitionTime = item.ContentTime = "101500"
    item.AccessionNumber = item.ReferringPhysicianName = ""
    item.Modality = "MR"
    item.Manufacturer = "PHANTOM"
    item.StudyDescription = "OAI^MR^KNEE"
    # The only place that tells the side, as in the real ones.
    item.SeriesDescription = f"SAG_3D_DESS_{case.side.upper()}"
    item.PatientName = f"PHANTOM^CASE{index:04d}"
    item.PatientID = case.identifier
    item.PatientBirthDate = f"{born:%Y%m%d}"
    item.PatientSex = str(rng.choice(["F", "M"]))
    item.BodyPartExamined = "KNEE"
    item.ScanningSequence = "GR"
    item.SequenceVariant = "SS"
    item.ScanOptions = ""
    item.MRAcquisitionType = "3D"
    item.SliceThickness = format_number_as_ds(spacing_x)
    item.RepetitionTime, item.EchoTime, item.FlipAngle = "16.3", "4.7", "25"
    item.EchoNumbers, item.EchoTrainLength = 1, 1
    item.PatientPosition = "FFS"
    item.StudyInstanceUID = _uid(case, "study")
    item.SeriesInstanceUID = _uid(case, "series")
    item.FrameOfReferenceUID = _uid(case, "frame of reference")
    item.PositionReferenceIndicator = ""
    item.StudyID, item.SeriesNumber, item.AcquisitionNumber = "1", 5, 1
    item.SamplesPerPixel, item.PhotometricInterpretation = 1, "MONOCHROME2"
    item.PixelSpacing = _decimals((spacing_z, spacing_y))
    item.BitsAllocated, item.BitsStored, item.HighBit = 16, 16, 15
    return item


def _decimals(values: Sequence[float] | np.ndarray) -> list[str]:
    """DICOM's decimal strings: 16 characters at most, which is 10^-11 mm or better here."""
    return [format_number_as_ds(float(value)) for value in values]


def _uid(case: ArchiveCase, what: str) -> UID:
    """The same for the same case, another one for anything else."""
    return generate_uid(entropy_srcs=[case.series.as_posix(), what])
