"""The room's one entry: writes masks, lists and scans of as many phantom knees as one asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from nnunet_eas.phantom import LABELS
from nnunet_eas.phantom_archive.case import ArchiveCase, Flips, draw_case, draw_identifiers
from nnunet_eas.phantom_archive.checks import check_arguments
from nnunet_eas.phantom_archive.defect import Defect
from nnunet_eas.phantom_archive.dicom import write_series
from nnunet_eas.phantom_archive.files import CaseFiles
from nnunet_eas.phantom_archive.mask_defects import MASK_DEFECTS
from nnunet_eas.phantom_archive.metaimage import write_mask
from nnunet_eas.phantom_archive.scan_defects import SCAN_DEFECTS
from nnunet_eas.phantom_archive.series_defects import SERIES_DEFECTS
from nnunet_eas.phantom_archive.volume import write_volume

_DEFECTS = MASK_DEFECTS | SCAN_DEFECTS | SERIES_DEFECTS
_BONES = np.zeros(len(LABELS), dtype=np.uint8)
_BONES[LABELS["femur"]], _BONES[LABELS["tibia"]] = 1, 2


@dataclass(frozen=True)
class Archive:
    """What was written, and where.

    Attributes:
        masks: The unpacked archive, which a converter is given.
        mri: The root of the scans: what the lines of ``oai_mri_paths.txt`` are relative to. Scans that are no DICOM
            lie in it as ``<identifier>.nii.gz`` or ``.mha``.
        cases: The truth, in ascending order of identifiers; a defect does not show here.
    """

    masks: Path
    mri: Path
    cases: tuple[ArchiveCase, ...]


def write_archive(
    folder: Path,
    *,
    cases: int,
    seed: int = 0,
    shape: tuple[int, int, int] = (112, 128, 28),
    spacing: tuple[float, float, float] = (0.8, 0.84, 3.2),
    layout: Literal["segmentation", "OAI-ZIB"] = "segmentation",
    sides: Sequence[str] = ("right",),
    flips: Sequence[Flips] = ((False, False, False),),
    obliquity_deg: float = 16.0,
    mri_format: Literal["dicom", "nifti", "mha"] = "dicom",
    rescale: tuple[float, float] = (1, 0),
    defects: Mapping[int, Sequence[Defect]] = {},
) -> Archive:
    """Writes an archive of phantom knees. The same arguments give the same bytes.

    Args:
        folder: Gets ``archive`` and ``mri``; must be new or empty.
        cases: How many.
        seed: Non-negative; another seed gives other people, poses and identifiers.
        shape: Voxels, (z, y, x).
        spacing: mm, (z, y, x).
        layout: "segmentation" is the archive of today, with its sibling folder of masks in another scheme; "OAI-ZIB"
            is an older release, with the masks alone.
        sides: Cycled over the cases. The real archive holds right knees only.
        flips: Cycled over the cases: whether the scan's columns (usually front to back), rows (usually head to feet)
            and slices (usually right to left) are reversed. The masks never are.
        obliquity_deg: The scans are tilted by up to that about any axis, each by another angle.
        mri_format: What the scans are written as. NIfTI and MetaImage hold their axes in other orders than the masks.
        rescale: RescaleSlope and RescaleIntercept that the DICOM pixels need; with (1, 0) only some series bear them.
        defects: What is wrong with which case, by its index.

    Raises:
        FileExistsError: Where the folder is not empty.
        ValueError: Where an argument is out of its range.
    """
    rescale = (rescale[0], rescale[1])
    check_arguments(
        cases=cases,
        seed=seed,
        slices=shape[-1],
        layout=layout,
        sides=sides,
        flips=flips,
        obliquity_deg=obliquity_deg,
        mri_format=mri_format,
        rescale=rescale,
        defects=defects,
        dicom_only=SERIES_DEFECTS,
    )
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"folder must be new or empty, got {folder}. Remove what it holds, or name another one.")

    # All are drawn before the first file is written: a grid that the knee refuses leaves nothing behind.
    drawn = [
        draw_case(
            identifier=identifier,
            index=index,
            seed=seed,
            shape=shape,
            spacing=spacing,
            side=sides[index % len(sides)],
            obliquity_deg=obliquity_deg,
        )
        for index, identifier in enumerate(draw_identifiers(cases=cases, seed=seed))
    ]
    masks, mri = folder / "archive", folder / "mri"
    main = masks / layout
    (main / "segmentation_masks").mkdir(parents=True)
    mri.mkdir()
    for index, case in enumerate(drawn):
        write_mask(_mask_path(main, case.identifier), case.knee.segmentation, spacing)
        flipped = flips[index % len(flips)]
        if mri_format == "dicom":
            write_series(mri / case.series, case, index=index, flips=flipped, rescale=rescale)
        else:
            write_volume(_volume_path(mri, case.identifier, mri_format), case, flips=flipped)

    _write_lists(main / "doc", drawn)
    half = cases // 2
    for number, fold in enumerate((drawn[:half], drawn[half:]), start=1):
        _write_lines(main / "doc" / f"2foldCrossValidation-List{number}.txt", [case.identifier for case in fold])
    if layout == "segmentation":
        _write_classification(masks / "classification", drawn)
        _write_lines(masks / "README", ["Numerical phantoms in the layout of OAI-ZIB. No patient data."])

    for index, wanted in defects.items():
        case = drawn[index]
        scan = mri / case.series if mri_format == "dicom" else _volume_path(mri, case.identifier, mri_format)
        mask = _mask_path(main, case.identifier)
        files = CaseFiles(case=case, mask=mask, mri=scan, paths_list=main / "doc" / "oai_mri_paths.txt")
        for defect in Defect:
            if defect in wanted:
                _DEFECTS[defect](files)
    return Archive(masks=masks, mri=mri, cases=tuple(drawn))


def _mask_path(folder: Path, identifier: str) -> Path:
    return folder / "segmentation_masks" / f"{identifier}.segmentation_masks.mhd"


def _volume_path(mri: Path, identifier: str, mri_format: str) -> Path:
    return mri / f"{identifier}{'.mha' if mri_format == 'mha' else '.nii.gz'}"


def _write_lists(doc: Path, cases: list[ArchiveCase]) -> None:
    doc.mkdir()
    _write_lines(doc / "oai_mri_paths.txt", [f"{case.identifier}: {case.series.as_posix()}" for case in cases])


def _write_classification(folder: Path, cases: list[ArchiveCase]) -> None:
    """The sibling whose files have the same names and another scheme: 1 is the femur, 2 the tibia, nothing else."""
    (folder / "segmentation_masks").mkdir(parents=True)
    for case in cases:
        write_mask(_mask_path(folder, case.identifier), _BONES[case.knee.segmentation], case.knee.spacing)
    _write_lists(folder / "doc", cases)


def _write_lines(path: Path, lines: list[str]) -> None:
    # As bytes: no other line ends on another system.
    path.write_bytes("".join(f"{line}\n" for line in lines).encode())
