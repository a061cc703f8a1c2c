"""The scores of one case: a record for each structure, or its faults."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from nnunet_eas.evaluation.cases import Case
from nnunet_eas.evaluation.grid import check_same_place
from nnunet_eas.evaluation.mask_file import Mask, inside, read_mask
from nnunet_eas.evaluation.metrics import measure
from nnunet_eas.evaluation.structures import Structures
from nnunet_eas.support.kept_results import KeptResults
from nnunet_eas.support.parallel import all_results

Record = dict[str, Any]
"""case, label (the structure's name) and the numbers of `metrics.DEFINED_BY`."""


@dataclass(frozen=True)
class Scores:
    """The records of one case, or its faults."""

    records: list[Record] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def score_cases(
    cases: Sequence[Case],
    structures: Structures,
    tolerance_mm: float,
    *,
    unfinished: str | Path | None = None,
    workers: int,
    progress: bool,
) -> list[Scores]:
    """The scores of all cases, in their order; those that the file `unfinished` keeps are not computed again."""
    kept = KeptResults(unfinished, Scores, structures, tolerance_mm)
    return all_results(
        partial(score_case, structures=structures, tolerance_mm=tolerance_mm),
        cases,
        workers=workers,
        description="evaluating",
        progress=progress,
        known=lambda case: kept.get([case.reference, case.prediction]),
        keep=lambda case, scores: None if scores.faults else kept.add([case.reference, case.prediction], scores),
    )


def score_case(case: Case, structures: Structures, tolerance_mm: float) -> Scores:
    """Reads and compares one case. It raises nothing for a faulty one."""
    masks: dict[str, Mask] = {}
    faults = []
    for side, source in (("reference", case.reference), ("prediction", case.prediction)):
        try:
            masks[side] = read_mask(source)
        except ValueError as error:
            faults.append(f"{side}: {error}")
    if faults:
        return Scores(faults=faults)
    boxes = {side: mask.boxes() for side, mask in masks.items()}
    faults = _faults(check_same_place, masks["reference"].grid, masks["prediction"].grid)
    if not faults:
        faults = [fault for side, found in boxes.items() for fault in _faults(structures.check_labels, found, side)]
    if faults:
        return Scores(faults=faults)

    reference = masks["reference"]
    labels = {side: mask.labels for side, mask in masks.items()}
    if structures.ignore is not None:
        labels["prediction"] = np.where(labels["reference"] == structures.ignore, 0, labels["prediction"])
    records = []
    for name, values in structures.values.items():
        there = [found[value] for found in boxes.values() for value in values if value in found]
        box = _around(there, reference.labels.ndim)
        pair = {side: inside(array[box], values) for side, array in labels.items()}
        numbers = measure(**pair, spacing=reference.spacing, tolerance_mm=tolerance_mm)
        records.append({"case": case.identifier, "label": name, **numbers})
    return Scores(records)


def _faults(check: Callable[..., None], *arguments: Any) -> list[str]:
    try:
        check(*arguments)
    except ValueError as error:
        return [str(error)]
    return []


def _around(boxes: Sequence[tuple[slice, ...]], axes: int) -> tuple[slice, ...]:
    """One box around all, with a margin of a voxel within the image: an edge of one voxel means a single slice."""
    ends = np.array([[(part.start, part.stop) for part in box] for box in boxes] or [[(0, 0)] * axes])
    return tuple(map(slice, np.maximum(ends[..., 0].min(axis=0) - 1, 0), ends[..., 1].max(axis=0) + 1))
