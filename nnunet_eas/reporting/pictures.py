"""The pictures of one case: slices of the scan, with the outlines of truth and of every prediction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from nnunet_eas.evaluation.grid import check_same_place
from nnunet_eas.evaluation.mask_file import read_mask
from nnunet_eas.evaluation.structures import Structures
from nnunet_eas.reporting.outline import outline
from nnunet_eas.reporting.scan import as_grey, data_uri, read_scan
from nnunet_eas.reporting.view import View, shown_slices, start_slice, view_of


@dataclass(frozen=True)
class PictureJob:
    """One case to draw."""

    case: str
    masks: Sequence[Path | sitk.Image]  # truth first, then the models' predictions, all readable and on one grid
    scans: Sequence[Path] | None  # must be one file; None draws outlines without a scan
    structures: Structures


@dataclass(frozen=True)
class Slice:
    """One slice."""

    number: int  # its number in the file, from 1
    image: str | None  # data URI; None without a scan
    paths: tuple[tuple[str, ...], ...]  # by mask and structure an SVG path, empty without foreground


@dataclass(frozen=True)
class Pictures:
    """The pictures of a case."""

    case: str
    slices: tuple[Slice, ...]  # in the order of the slider
    start: int  # index of the slice that is seen first
    total: int  # number of slices in the file
    filled: int  # number of slices with foreground in truth or a prediction
    shape: tuple[int, int]  # rows and columns
    view: View  # position of the slices
    fault: str | None  # reason for a missing scan, or None


def draw_case(job: PictureJob) -> Pictures:
    """Reads and draws one case. A scan that does not fit is left out, and its fault noted."""
    masks = [read_mask(path) for path in job.masks]
    for mask in masks[1:]:
        check_same_place(masks[0].grid, mask.grid)
    grid = masks[0].grid
    view = view_of(masks[0].spacing, grid.direction)
    scan = fault = None
    if job.scans is not None:
        try:
            scan = view.turned(as_grey(read_scan(_only(job.scans), grid)))
        except ValueError as error:
            fault = str(error)

    values = job.structures.values.values()
    labels = [view.turned(mask.labels) for mask in masks]
    if job.structures.ignore is not None:  # as in the scores
        labels[1:] = [np.where(labels[0] == job.structures.ignore, 0, of_model) for of_model in labels[1:]]
    foreground = sorted(set().union(*values))
    counts = [np.isin(of_one, foreground).sum(axis=(1, 2)) for of_one in labels]
    filled = np.any(counts, axis=0)
    first = start_slice(counts[0], counts[1:])
    shown = shown_slices(filled, first)
    total = len(filled)
    slices = tuple(
        Slice(
            number=view.number(index, total),
            image=None if scan is None else data_uri(scan[index]),
            paths=tuple(tuple(outline(np.isin(of_one[index], of)) for of in values) for of_one in labels),
        )
        for index in shown
    )
    shape = (labels[0].shape[1], labels[0].shape[2])
    return Pictures(job.case, slices, shown.index(first), total, int(filled.sum()), shape, view, fault)


def _only(scans: Sequence[Path]) -> Path:
    if len(scans) != 1:
        names = ", ".join(path.name for path in scans) or "none"
        raise ValueError(
            f"the scan must be one file CASE_0000 in images (-images), got {names}. Leave the right one there."
        )
    return scans[0]
