"""The scores of one case: a record for each structure, or what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import find_objects

from nnunet_eas.evaluation.cases import Case
from nnunet_eas.evaluation.grid import check_same_place
from nnunet_eas.evaluation.mask_file import Mask, read_mask
from nnunet_eas.evaluation.metrics import measure
from nnunet_eas.evaluation.structures import Structures

Record = dict[str, Any]
"""case, label (the structure's name) and the numbers of `metrics.DEFINED_BY`."""


@dataclass(frozen=True)
class Job:
    """What one process needs to know."""

    case: Case
    structures: Structures
    tolerance_mm: float


@dataclass(frozen=True)
class Scores:
    """What comes of it: records, or faults."""

    records: list[Record] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def labels_in(reference: Path) -> frozenset[int]:
    """The labels that a mask holds, without the background; none where it cannot be read, which `score_case` tells."""
    try:
        return frozenset(_boxes(read_mask(reference).labels))
    except ValueError:
        return frozenset()


def score_case(job: Job) -> Scores:
    """Reads and compares one case. It raises nothing for a faulty one."""
    masks, faults = {}, []
    for side in ("reference", "prediction"):
        try:
            masks[side] = read_mask(getattr(job.case, side))
        except ValueError as error:
            faults.append(f"{side}: {error}")
    if faults:
        return Scores(faults=faults)
    try:
        check_same_place(masks["reference"].grid, masks["prediction"].grid)
    except ValueError as error:
        return Scores(faults=[str(error)])
    return _score(job, masks["reference"], masks["prediction"])


def _score(job: Job, reference: Mask, prediction: Mask) -> Scores:
    structures = job.structures
    sides = {"reference": reference.labels, "prediction": prediction.labels}
    boxes = {side: _boxes(labels) for side, labels in sides.items()}
    faults = [
        f"the {side} must hold labels of dataset.json only, got {' '.join(map(str, unknown))}. Correct the mask, or "
        "give another -djfile."
        for side, found in boxes.items()
        if structures.known is not None and (unknown := sorted(set(found) - structures.known))
    ]
    if faults:
        return Scores(faults=faults)
    if structures.ignore is not None:
        sides["prediction"] = np.where(sides["reference"] == structures.ignore, 0, sides["prediction"])
    records = []
    for name, values in structures.values.items():
        box = _around([found[value] for found in boxes.values() for value in values if value in found], reference)
        pair = {side: _inside(labels[box], values) for side, labels in sides.items()}
        numbers = measure(**pair, spacing=reference.spacing, tolerance_mm=job.tolerance_mm)
        records.append({"case": job.case.identifier, "label": name, **numbers})
    return Scores(records)


def _boxes(labels: np.ndarray) -> dict[int, tuple[slice, ...]]:
    """The bounding box of each label that is there."""
    found = find_objects(labels) if labels.any() else []
    return {label: box for label, box in enumerate(found, 1) if box is not None}


def _around(boxes: Iterable[tuple[slice, ...]], mask: Mask) -> tuple[slice, ...]:
    """One box around all, and one voxel more where the image goes on: an edge of one voxel means a single slice."""
    boxes = list(boxes)
    box = []
    for axis, edge in enumerate(mask.labels.shape):
        start = min((b[axis].start for b in boxes), default=0)
        stop = max((b[axis].stop for b in boxes), default=0)
        box.append(slice(max(start - 1, 0), min(stop + 1, edge)))
    return tuple(box)


def _inside(labels: np.ndarray, values: tuple[int, ...]) -> np.ndarray:
    return labels == values[0] if len(values) == 1 else np.isin(labels, values)
