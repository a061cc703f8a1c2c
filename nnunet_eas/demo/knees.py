"""Synthetic knees in the form of real ones: an archive to learn from, and the DICOM series of new patients."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

import SimpleITK as sitk

from nnunet_eas.demo.settings import DemoSettings
from nnunet_eas.phantom_archive import write_archive
from nnunet_eas.support.files import write_json

SIDE = "right"  # of the knees in the archive, as in OAI-ZIB


def write_knees(folder: Path, settings: DemoSettings) -> None:
    """Writes all knees of a demo into an empty folder.

    ``archive`` and ``mri`` hold the knees to learn from, laid out as OAI-ZIB and OAI are, and ``split.json`` their
    split. ``scans`` holds the series of the new patients, left knees among them, and ``cases.json`` the names that the
    conversion gives them. ``truth`` holds what no one has of a real new patient, the true labels, and ``truth_scans``
    the scans on their grid.
    """
    # two archives with seeds of their own: no person is in both
    write = partial(write_archive, shape=settings.shape, spacing=settings.spacing)
    n = settings.training_knees
    known = write(folder, cases=n + settings.validation_knees, seed=2 * settings.seed, sides=(SIDE,))
    new = write(folder / "new", cases=settings.test_knees, seed=2 * settings.seed + 1, sides=("right", "left"))
    names = [f"oai_{case.identifier}_{case.series.name}" for case in new.cases]
    for place in ("truth", "truth_scans"):
        (folder / place).mkdir()
    for name, case in zip(names, new.cases, strict=True):
        spacing_xyz = case.knee.spacing[::-1]
        for array, place in ((case.knee.segmentation, "truth"), (case.knee.image, "truth_scans")):
            image = sitk.GetImageFromArray(array)
            image.SetSpacing(spacing_xyz)
            image.SetOrigin(case.affine[:3, 3].tolist())
            image.SetDirection((case.affine[:3, :3] / spacing_xyz).ravel().tolist())
            sitk.WriteImage(image, str(folder / place / f"{name}.nii.gz"), useCompression=True)
    new.mri.rename(folder / "scans")
    shutil.rmtree(folder / "new")
    patients = [case.identifier for case in known.cases]
    write_json(folder / "split.json", [{"train": patients[:n], "val": patients[n:]}])
    write_json(folder / "cases.json", names)
