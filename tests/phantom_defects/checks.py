"""Checks of the arguments of `write_archive`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from phantom_defects.defect import Defect

LAYOUTS = ("segmentation", "OAI-ZIB")
MRI_FORMATS = ("dicom", "nifti", "mha")
_FEWEST_SLICES = 4


def check_arguments(
    *,
    cases: int,
    slices: int,
    layout: str,
    sides: Sequence[str],
    flips: Sequence[Sequence[bool]],
    mri_format: str,
    rescale: tuple[float, float],
    defects: Mapping[int, Sequence[Defect]],
    dicom_only: Collection[Defect],
) -> None:
    """Raises ValueError where an argument that ``phantom_archive.write_archive`` does not know is out of its range."""
    if layout not in LAYOUTS:
        raise ValueError(f"layout must be one of {LAYOUTS}, got {layout!r}. The first is the archive of today.")
    if mri_format not in MRI_FORMATS:
        raise ValueError(f"mri_format must be one of {MRI_FORMATS}, got {mri_format!r}. OAI's own is DICOM.")
    if not flips or any(len(flip) != 3 for flip in flips):
        raise ValueError(f"flips must hold triples, got {flips}. Give (columns, rows, slices) for each case in turn.")
    if mri_format != "dicom" and rescale != (1, 0):
        raise ValueError(f"rescale must be (1, 0) where mri_format is {mri_format!r}, got {rescale}. Take DICOM.")
    for index, wanted in defects.items():
        side = sides[index % len(sides)]
        _check_defects(index, wanted, cases, slices, side, mri_format, dicom_only)


def _check_defects(
    index: int,
    wanted: Sequence[Defect],
    cases: int,
    slices: int,
    side: str,
    mri_format: str,
    dicom_only: Collection[Defect],
) -> None:
    if index not in range(cases):
        raise ValueError(f"defects must name cases from 0 to {cases - 1}, got {index}. Write more cases.")
    for defect in wanted:
        if not isinstance(defect, Defect):
            raise TypeError(
                f"defects must be members of Defect, got {defect!r}. Give a sequence of them for each case."
            )
        if defect not in dicom_only:
            continue
        if mri_format != "dicom":
            raise ValueError(
                f"defects must suit the format, got {defect.name} with mri_format {mri_format!r}. "
                "It is one of a DICOM series."
            )
        if slices < _FEWEST_SLICES:
            raise ValueError(
                f"shape must have at least {_FEWEST_SLICES} slices along x for {defect.name}, got {slices}. "
                "Inner slices are what it needs."
            )
    if Defect.LEFT_KNEE in wanted and side == "left":
        raise ValueError(
            f"defects must not call a left knee left, got LEFT_KNEE for case {index}. Give that case the side 'right'."
        )
