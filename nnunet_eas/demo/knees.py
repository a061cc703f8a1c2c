"""Draws the demo's knees as one meets real ones: an archive to learn from, and new patients' DICOM."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from nnunet_eas.demo.settings import DemoSettings
from nnunet_eas.phantom_archive import ArchiveCase, write_archive

SIDE = "right"
"""Of the archive's knees, as in OAI-ZIB."""


def write_knees(folder: Path, settings: DemoSettings) -> None:
    """Writes all knees of a demo.

    ``archive`` and ``mri`` hold the knees to learn from, laid out as OAI-ZIB and OAI are; ``scans`` holds the new
    patients' series, left knees among them; ``truth`` holds what nobody has of a new patient: the true labels, and the
    scan as a picture needs it. ``cases.json`` names the cases as the conversion will, ``split.json`` is the split.

    Args:
        folder: Made here.
        settings: How many knees, on which grid.
    """
    # two archives of neighbouring seeds: no person is in both
    learned = write_archive(
        folder,
        cases=settings.training_knees + settings.validation_knees,
        seed=2 * settings.seed,
        shape=settings.shape,
        spacing=settings.spacing,
        sides=(SIDE,),
    )
    new = write_archive(
        folder / "new",
        cases=settings.test_knees,
        seed=2 * settings.seed + 1,
        shape=settings.shape,
        spacing=settings.spacing,
        sides=("right", "left"),
    )
    (folder / "truth").mkdir()
    for case in new.cases:
        _write(folder / "truth" / f"{scan_name(case)}.nii.gz", case.knee.segmentation, case)
        _write(folder / "truth" / f"{scan_name(case)}_0000.nii.gz", case.knee.image, case)
    new.mri.rename(folder / "scans")
    shutil.rmtree(folder / "new")

    patients = [case.identifier for case in learned.cases]
    split = {"train": patients[: settings.training_knees], "val": patients[settings.training_knees :]}
    (folder / "split.json").write_text(json.dumps([split]))
    (folder / "cases.json").write_text(json.dumps([scan_name(case) for case in new.cases]))


def scan_name(case: ArchiveCase) -> str:
    """The name that ``nnunet-eas convert dicom`` gives a series in OAI's folders."""
    return f"oai_{case.identifier}_{case.series.name}"


def _write(path: Path, array: np.ndarray, case: ArchiveCase) -> None:
    image = sitk.GetImageFromArray(array)
    spacing_xyz = case.knee.spacing[::-1]
    image.SetSpacing(spacing_xyz)
    image.SetOrigin(case.affine[:3, 3].tolist())
    image.SetDirection((case.affine[:3, :3] / spacing_xyz).ravel().tolist())
    sitk.WriteImage(image, str(path), useCompression=True)
