"""Means over the records of all cases, with the definitions of the numbers."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

from nnunet_eas.evaluation.case_scores import Record
from nnunet_eas.evaluation.cases import Faults
from nnunet_eas.evaluation.metrics import DEFINED_BY, definition
from nnunet_eas.evaluation.structures import Structures
from nnunet_eas.evaluation.surfaces import surface_distances_mm

METRICS = tuple(DEFINED_BY)
COLUMNS = ("case", "label", *METRICS)

_MEAN = (
    "labels: over the cases; what is NaN, which is null in this file, is left out. foreground: over the labels' means, "
    "as nnU-Net does."
)
_SPREAD = "Sample standard deviation over the cases that the mean is over; null of fewer than two."
_LEFT_OUT = "How many cases are left out of the mean, because the number is undefined there."


def summarise(records: Sequence[Record], faults: Faults, structures: Structures, tolerance_mm: float) -> dict[str, Any]:
    """The content of the JSON file: all numbers with their definitions, NaN as None."""
    definitions = {name: definition(function) for name, function in DEFINED_BY.items()}
    definitions["nsd"] += f" Here tolerance_mm is {tolerance_mm:g}."
    definitions["surface_distances_mm"] = definition(surface_distances_mm)
    definitions |= {"mean": _MEAN, "standard_deviation": _SPREAD, "left_out": _LEFT_OUT}
    if structures.ignore is not None:
        definitions["ignore_label"] = (
            f"Voxels where the reference is {structures.ignore}, the ignore label, belong to no structure in either "
            "mask: overlap, volumes and surfaces are computed without them."
        )
    defined = {
        label: {m: [r[m] for r in records if r["label"] == label and not math.isnan(r[m])] for m in METRICS}
        for label in structures.values
    }
    means = {label: {m: _mean(values) for m, values in numbers.items()} for label, numbers in defined.items()}
    cases = len({record["case"] for record in records})
    return {
        "definitions": definitions,
        "tolerance_mm": tolerance_mm,
        "labels": {label: list(values) for label, values in structures.values.items()},
        "ignore_label": structures.ignore,
        "cases": cases,
        "mean": {
            "labels": means,
            "foreground": {
                m: _mean([value for mean in means.values() if (value := mean[m]) is not None]) for m in METRICS
            },
        },
        "standard_deviation": {
            label: {m: statistics.stdev(values) if len(values) > 1 else None for m, values in numbers.items()}
            for label, numbers in defined.items()
        },
        "left_out": {label: {m: cases - len(v) for m, v in numbers.items()} for label, numbers in defined.items()},
        "per_case": [{key: _or_none(record[key]) for key in COLUMNS} for record in records],
        "faults": faults,
    }


def _mean(values: Sequence[float]) -> float | None:
    return statistics.fmean(values) if values else None


def _or_none(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value
