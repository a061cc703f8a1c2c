"""Writes an archive of synthetic knees, changes the form of its files, and applies the defects."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nnunet_eas import phantom_archive
from nnunet_eas.phantom import LABELS
from nnunet_eas.phantom_archive.archive import write_masks
from phantom_defects.checks import check_arguments
from phantom_defects.defect import Defect
from phantom_defects.files import CaseFiles
from phantom_defects.mask_defects import MASK_DEFECTS
from phantom_defects.scan_defects import SCAN_DEFECTS
from phantom_defects.series_defects import SERIES_DEFECTS
from phantom_defects.series_forms import Flips, check_rescale, flip_series, rescale_series
from phantom_defects.volume import write_volume

_BONES = np.zeros(len(LABELS), dtype=np.uint8)
_BONES[LABELS["femur"]], _BONES[LABELS["tibia"]] = 1, 2
_DEFECTS = MASK_DEFECTS | SCAN_DEFECTS | SERIES_DEFECTS
_ENDINGS = {"nifti": ".nii.gz", "mha": ".mha"}


def write_archive(
    folder: Path,
    *,
    cases: int,
    layout: str = "segmentation",
    sides: Sequence[str] = ("right",),
    flips: Sequence[Flips] = ((False, False, False),),
    mri_format: str = "dicom",
    rescale: tuple[float, float] = (1, 0),
    defects: Mapping[int, Sequence[Defect]] = {},
    shape: tuple[int, int, int] = (112, 128, 28),
    **grid: Any,
) -> phantom_archive.Archive:
    """Writes an archive. The same arguments give the same bytes.

    Args:
        folder: Gets ``archive`` and ``mri``; must be new or empty.
        cases: Number of knees.
        layout: "segmentation" is the archive of today, with its sibling folder of masks in another scheme; "OAI-ZIB"
            is an older release, with the masks alone.
        sides: Cycled over the cases.
        flips: Cycled over the cases: whether the scan's columns (usually front to back), rows (usually head to feet)
            and slices (usually right to left) are reversed. The masks never are.
        mri_format: Format of the scans: "dicom", "nifti" or "mha". The two others lie in ``mri`` as
            ``<identifier>.nii.gz`` or ``.mha``, and hold their axes in other orders than the masks.
        rescale: RescaleSlope and RescaleIntercept that the DICOM pixels need; with (1, 0) only some series bear them.
        defects: The defects of each case, by its index.
        shape: Voxels, (z, y, x).
        **grid: Other arguments of ``phantom_archive.write_archive``.

    Returns:
        The archive; its cases are the truth, in which a defect does not show.
    """
    check_arguments(
        cases=cases,
        slices=shape[-1],
        layout=layout,
        sides=sides,
        flips=flips,
        mri_format=mri_format,
        rescale=rescale,
        defects=defects,
        dicom_only=SERIES_DEFECTS,
    )
    archive = phantom_archive.write_archive(folder, cases=cases, sides=sides, shape=shape, **grid)
    for index, case in enumerate(archive.cases):
        series, flipped = archive.mri / case.series, flips[index % len(flips)]
        if mri_format != "dicom":
            write_volume(archive.mri / f"{case.identifier}{_ENDINGS[mri_format]}", case, flips=flipped)
            continue
        if any(flipped):
            flip_series(series, flipped)
        if rescale != (1, 0):
            check_rescale(case.knee.image, rescale)
            rescale_series(series, case.knee.image, rescale)
    if mri_format != "dicom":
        for release in ("0.C.2", "0.E.1"):
            shutil.rmtree(archive.mri / release, ignore_errors=True)
    main = archive.masks / layout
    if layout == "segmentation":
        # the sibling whose files have the same names and another scheme: 1 is the femur, 2 the tibia, nothing else
        write_masks(archive.masks / "classification", archive.cases, _BONES)
        (archive.masks / "README").write_text("Numerical phantoms in the layout of OAI-ZIB. No patient data.\n")
    else:
        (archive.masks / "segmentation").rename(main)
    for number, fold in enumerate((archive.cases[: cases // 2], archive.cases[cases // 2 :]), start=1):
        lines = [f"{case.identifier}\n" for case in fold]
        (main / "doc" / f"2foldCrossValidation-List{number}.txt").write_text("".join(lines))
    for index, wanted in defects.items():
        case = archive.cases[index]
        files = CaseFiles(
            case=case,
            mask=main / "segmentation_masks" / f"{case.identifier}.segmentation_masks.mhd",
            mri=archive.mri / (case.series if mri_format == "dicom" else f"{case.identifier}{_ENDINGS[mri_format]}"),
            paths_list=main / "doc" / "oai_mri_paths.txt",
        )
        for defect in Defect:
            if defect in wanted:
                _DEFECTS[defect](files)
    return archive
