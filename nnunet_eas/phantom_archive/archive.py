"""Writes masks, scans and their list of synthetic knees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nnunet_eas.phantom import LABELS
from nnunet_eas.phantom_archive.case import MOST_CASES, ArchiveCase, draw_case, draw_identifiers
from nnunet_eas.phantom_archive.dicom import write_series

# of MetaImage, OAI-ZIB's format of masks
_HEADER = """\
ObjectType = Image
NDims = 3
BinaryData = True
BinaryDataByteOrderMSB = False
CompressedData = False
TransformMatrix = 1 0 0 0 1 0 0 0 1
Offset = 0 0 0
CenterOfRotation = 0 0 0
AnatomicalOrientation = RAI
ElementSpacing = {spacing}
DimSize = {size}
ElementType = MET_UCHAR
ElementDataFile = {data}
"""


@dataclass(frozen=True)
class Archive:
    """A written archive."""

    masks: Path  # the unpacked archive, as a converter gets it
    mri: Path  # root of the scans, which the lines of oai_mri_paths.txt are relative to
    cases: tuple[ArchiveCase, ...]  # the true knees, in ascending order of identifiers


def write_archive(
    folder: Path,
    *,
    cases: int,
    seed: int = 0,
    sides: Sequence[str] = ("right",),
    obliquity_deg: float = 16.0,
    **grid: Any,
) -> Archive:
    """Writes an archive of synthetic knees. The same arguments give the same bytes.

    Args:
        folder: Gets ``archive`` and ``mri``; must be new or empty.
        cases: Number of knees.
        seed: Non-negative; another seed gives other people, poses and identifiers.
        sides: Cycled over the cases. The real archive holds right knees only.
        obliquity_deg: Largest tilt of the scans, about any axis; each has another angle.
        **grid: `shape` and `spacing`, as of `knee`.
    """
    if not 1 <= cases <= MOST_CASES:
        raise ValueError(f"cases must be from 1 to {MOST_CASES}, got {cases}. Identifiers have seven digits.")
    if seed < 0:
        raise ValueError(f"seed must be non-negative, got {seed}. Any such number will do.")
    if isinstance(sides, str) or not sides or not set(sides) <= {"left", "right"}:
        raise ValueError(f"sides must hold 'left', 'right' or both, got {sides!r}. They are cycled over the cases.")
    if not 0 <= obliquity_deg < 45:
        raise ValueError(f"obliquity_deg must be at least 0 and less than 45, got {obliquity_deg}. Give fewer degrees.")
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"folder must be new or empty, got {folder}. Remove what it holds, or name another one.")

    # all are drawn before the first file is written, so that a grid that the knee refuses leaves nothing behind
    drawn = [
        draw_case((seed, index), identifier, obliquity_deg, side=sides[index % len(sides)], **grid)
        for index, identifier in enumerate(draw_identifiers(cases=cases, seed=seed))
    ]
    masks, mri = folder / "archive", folder / "mri"
    for index, case in enumerate(drawn):
        write_series(mri / case.series, case, index=index)
    write_masks(masks / "segmentation", drawn, np.arange(len(LABELS)))
    return Archive(masks=masks, mri=mri, cases=tuple(drawn))


def write_masks(folder: Path, cases: Sequence[ArchiveCase], numbers: np.ndarray) -> None:
    """Writes masks, in which each of the phantom's labels has a number, and the list of their scans."""
    (folder / "segmentation_masks").mkdir(parents=True)
    (folder / "doc").mkdir()
    for case in cases:
        path = folder / "segmentation_masks" / f"{case.identifier}.segmentation_masks.mhd"
        write_mask(path, numbers[case.knee.segmentation], case.knee.spacing)
    lines = "".join(f"{case.identifier}: {case.series.as_posix()}\n" for case in cases)
    (folder / "doc" / "oai_mri_paths.txt").write_text(lines, newline="\n")


def write_mask(path: Path, labels: np.ndarray, spacing: tuple[float, float, float]) -> None:
    """Writes a header, `path`, and the data beside it. As in the real archive, it does not tell the knee's place.

    The header has six digits of the spacing, as by ITK, so that it differs a little from the scan's.
    """
    data = path.with_suffix(".raw")
    data.write_bytes(np.ascontiguousarray(labels, dtype=np.uint8).tobytes())
    size = " ".join(str(edge) for edge in labels.shape[::-1])
    header = _HEADER.format(spacing=" ".join(f"{s:g}" for s in spacing[::-1]), size=size, data=data.name)
    path.write_bytes(header.encode())
