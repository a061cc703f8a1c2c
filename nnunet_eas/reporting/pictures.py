"""The pictures of one case: slices of the scan, with the outlines of truth and of every prediction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from nnunet_eas.evaluation.grid import check_same_place
from nnunet_eas.evaluation.mask_file import inside, read_mask
from nnunet_eas.evaluation.structures import Structures
from nnunet_eas.reporting.outline import outline
from nnunet_eas.reporting.scan import as_grey, data_uri, read_scan
from nnunet_eas.reporting.view import shown_slices, start_slice, view_of


@dataclass(frozen=True)
class Pictures:
    """The pictures of a case."""

    case: str
    # by slice its number in the file, the scan's data URI or None, and by mask and structure an SVG path or ""
    slices: list[dict[str, Any]]
    start: int  # index of the slice that is seen first
    total: int  # number of slices in the file
    filled: int  # number of slices with foreground in truth or a prediction
    shape: tuple[int, ...]  # rows and columns
    spacing: tuple[float, float]  # mm of (rows, columns)
    plane: str  # plane and directions in words
    fault: str | None  # reason for a missing scan, or None


def draw_case(job: tuple[str, Sequence[Path | sitk.Image], Sequence[Path] | None], structures: Structures) -> Pictures:
    """Reads and draws one case. A scan that does not fit is left out, and its fault noted.

    Args:
        job: The case; its masks, truth first, all readable and on one grid; its scans, which must be one file, or None
            for outlines without a scan.
        structures: The structures to outline.
    """
    case, sources, scans = job
    masks = [read_mask(source) for source in sources]
    for mask in masks[1:]:
        check_same_place(masks[0].grid, mask.grid)
    view = view_of(masks[0].spacing, masks[0].grid.direction)
    scan = fault = None
    if scans is not None:
        try:
            scan = view.turned(as_grey(read_scan(scans, masks[0].grid)))
        except ValueError as error:
            fault = str(error)

    labels = [view.turned(mask.labels) for mask in masks]
    if structures.ignore is not None:  # as in the scores
        labels[1:] = [np.where(labels[0] == structures.ignore, 0, of_model) for of_model in labels[1:]]
    values = list(structures.values.values())
    counts = [inside(of_one, sorted(set().union(*values))).sum(axis=(1, 2)) for of_one in labels]
    filled = np.any(counts, axis=0)
    first = start_slice(counts[0], counts[1:])
    shown = shown_slices(filled, first)
    slices = [
        {
            "number": view.number(index, len(filled)),
            "image": None if scan is None else data_uri(scan[index]),
            "paths": [[outline(inside(of_one[index], of)) for of in values] for of_one in labels],
        }
        for index in shown
    ]
    return Pictures(
        case=case,
        slices=slices,
        start=shown.index(first),
        total=len(filled),
        filled=int(filled.sum()),
        shape=labels[0].shape[1:],
        spacing=view.spacing,
        plane=view.caption,
        fault=fault,
    )
