"""What is drawn of one case: slices of the scan, with the outlines of truth and of every prediction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nnunet_eas.evaluation.grid import check_same_place
from nnunet_eas.evaluation.mask_file import read_mask
from nnunet_eas.evaluation.structures import Structures
from nnunet_eas.reporting.outline import outline
from nnunet_eas.reporting.scan import as_grey, data_uri, read_scan
from nnunet_eas.reporting.view import View, shown_slices, start_slice, view_of


@dataclass(frozen=True)
class PictureJob:
    """What one process needs to know.

    Attributes:
        case: Its identifier.
        masks: Truth first, then the models' predictions, all readable and on one grid.
        scans: Files that may be its scan; it must be one.
        with_scan: Whether there are scans at all.
        structures: What is outlined.
    """

    case: str
    masks: tuple[Path, ...]
    scans: Sequence[Path]
    with_scan: bool
    structures: Structures


@dataclass(frozen=True)
class Slice:
    """One slice.

    Attributes:
        number: In the file, from 1.
        image: Data URI; None without a scan.
        paths: Per mask, per structure: an SVG path, empty where there is nothing.
    """

    number: int
    image: str | None
    paths: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Pictures:
    """All that is shown of a case.

    Attributes:
        case: Its identifier.
        slices: In the order of the slider.
        start: Which of them is seen first.
        total: How many slices the file has.
        filled: How many of those have foreground in truth or a prediction.
        shape: Rows and columns.
        view: How the slices lie.
        faults: Why there is no scan.
    """

    case: str
    slices: tuple[Slice, ...]
    start: int
    total: int
    filled: int
    shape: tuple[int, int]
    view: View
    faults: tuple[str, ...]


def draw_case(job: PictureJob) -> Pictures:
    """Reads and draws one case. A scan that does not fit is left out and told."""
    masks = [read_mask(path) for path in job.masks]
    for mask in masks[1:]:
        check_same_place(masks[0].grid, mask.grid)
    grid = masks[0].grid
    view = view_of(masks[0].spacing, grid.direction)
    scan, faults = None, []
    if job.with_scan:
        try:
            scan = view.turned(as_grey(read_scan(_only(job.scans), grid)))
        except ValueError as error:
            faults.append(str(error))

    labels = [view.turned(mask.labels) for mask in masks]
    if job.structures.ignore is not None:  # as they are scored
        labels[1:] = [np.where(labels[0] == job.structures.ignore, 0, of_model) for of_model in labels[1:]]
    foreground = sorted({value for values in job.structures.values.values() for value in values})
    counts = [np.isin(of_one, foreground).sum(axis=(1, 2)) for of_one in labels]
    filled = np.any(counts, axis=0)
    first = start_slice(counts[0], counts[1:])
    shown = shown_slices(filled, first)
    total = len(filled)
    slices = tuple(
        Slice(
            number=view.number(index, total),
            image=None if scan is None else data_uri(scan[index]),
            paths=tuple(_outlines(of_one[index], job.structures.values) for of_one in labels),
        )
        for index in shown
    )
    shape = (labels[0].shape[1], labels[0].shape[2])
    return Pictures(job.case, slices, shown.index(first), total, int(filled.sum()), shape, view, tuple(faults))


def _outlines(labels: np.ndarray, structures: Mapping[str, Sequence[int]]) -> tuple[str, ...]:
    return tuple(outline(np.isin(labels, values)) for values in structures.values())


def _only(scans: Sequence[Path]) -> Path:
    if len(scans) != 1:
        names = ", ".join(path.name for path in scans) or "none"
        raise ValueError(f"the scan must be one file CASE_0000 in -images, got {names}. Leave the right one there.")
    return scans[0]
