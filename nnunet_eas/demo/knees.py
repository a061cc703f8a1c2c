"""Synthetic knees in the form of real ones: an archive to learn from, and the DICOM series of new patients."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from nnunet_eas.demo.settings import DemoSettings
from nnunet_eas.phantom_archive import ArchiveCase, write_archive
from nnunet_eas.support.files import write_json

SIDE = "right"
"""Side of the knees in the archive, as in OAI-ZIB."""


def write_knees(folder: Path, settings: DemoSettings) -> None:
    """Writes all knees of a demo.

    ``archive`` and ``mri`` hold the knees to learn from, laid out as OAI-ZIB and OAI are. ``scans`` holds the series of
    the new patients, left knees among them. ``truth`` holds what no one has of a real new patient: the true labels, and
    the scans on their grid. ``cases.json`` lists the new cases by the names that the conversion gives them;
    ``split.json`` is the split.

    Args:
        folder: Empty.
        settings: Number of knees, and their grid.
    """
    # two archives with seeds of their own: no person is in both
    write = partial(write_archive, shape=settings.shape, spacing=settings.spacing)
    n = settings.training_knees
    known = write(folder, cases=n + settings.validation_knees, seed=2 * settings.seed, sides=(SIDE,))
    new = write(folder / "new", cases=settings.test_knees, seed=2 * settings.seed + 1, sides=("right", "left"))
    (folder / "truth").mkdir()
    for case in new.cases:
        _write(folder / "truth" / f"{scan_name(case)}.nii.gz", case.knee.segmentation, case)
        _write(folder / "truth" / f"{scan_name(case)}_0000.nii.gz", case.knee.image, case)
    new.mri.rename(folder / "scans")
    shutil.rmtree(folder / "new")

    patients = [case.identifier for case in known.cases]
    write_json(folder / "split.json", [{"train": patients[:n], "val": patients[n:]}])
    write_json(folder / "cases.json", [scan_name(case) for case in new.cases])


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
