"""Shared by the tests of the conversion and of the synthetic archives."""

from __future__ import annotations

import hashlib
from itertools import product
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

# unequal edges and spacings: a swap of axes cannot pass; the whole knee is in it, so that every structure is
SMALL = {"shape": (20, 26, 9), "spacing": (4.6, 4.2, 10.2)}
FLIPS = tuple(product((False, True), repeat=3))
LANDMARKS_XYZ = ((0, 0, 0), (8, 25, 19), (3, 7, 11), (8, 0, 4))


def archive_options(archive, output, number=500):
    """The options that convert a phantom archive."""
    return ["oai-zib", "--archive", archive.masks, "--mri", archive.mri, "-d", number, "--output", output]


def contents(folder: Path) -> dict[str, str]:
    """A hash for every file below a folder."""
    return {
        file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def mask_of(archive, case, folder="segmentation"):
    return archive.masks / folder / "segmentation_masks" / f"{case.identifier}.segmentation_masks.mhd"


def slices_of(archive, case):
    """The slices in the order of their numbers."""
    return [pydicom.dcmread(path) for path in sorted((archive.mri / case.series).glob("[0-9]*"))]


def along_normal(item):
    orientation = np.array(item.ImageOrientationPatient, dtype=float)
    normal = np.cross(orientation[:3], orientation[3:])
    return float(normal @ np.array(item.ImagePositionPatient, dtype=float))


def read_series(archive, case):
    """With ITK's own order: by position along the normal."""
    return sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(archive.mri / case.series)))


def assert_is_the_truth(image, case, tolerance_mm):
    image = sitk.DICOMOrient(image, "LPS")
    assert np.array_equal(sitk.GetArrayFromImage(image), case.knee.image)
    for index in LANDMARKS_XYZ:
        assert image.TransformIndexToPhysicalPoint(index) == pytest.approx(case.position(index), abs=tolerance_mm)
