"""Scores of the predicted knees: a record for each structure, means, and a table."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from nnunet_eas.evaluation.evaluate import evaluate
from nnunet_eas.evaluation.metrics import DEFINED_BY, definition
from nnunet_eas.phantom import LABELS

STRUCTURES = {name: label for name, label in LABELS.items() if label}
METRICS = ("dice", "precision", "recall", "hd_mm")
DEFINITIONS = {metric: definition(DEFINED_BY[metric]) for metric in METRICS}


def score(reference_folder: Path, prediction_folder: Path, cases: Sequence[str]) -> list[dict[str, Any]]:
    """One record for each case and structure: case, label, structure, and the numbers of `METRICS` (None for NaN)."""
    records = []
    for case in cases:
        pair = [sitk.ReadImage(str(folder / f"{case}.nii.gz")) for folder in (reference_folder, prediction_folder)]
        scores = evaluate(*pair, labels=STRUCTURES.values()).per_case
        for (structure, label), numbers in zip(STRUCTURES.items(), scores, strict=True):
            record = {"case": case, "label": label, "structure": structure}
            records.append(record | {metric: numbers[metric] for metric in METRICS})
    return records


def means(records: list[dict[str, Any]]) -> dict[str, dict[str, float | None]]:
    """Means over the cases for each structure; None where one value is undefined, because none is left out."""
    result: dict[str, dict[str, float | None]] = {}
    for structure in STRUCTURES:
        columns = {m: [record[m] for record in records if record["structure"] == structure] for m in METRICS}
        result[structure] = {m: None if None in values else float(np.mean(values)) for m, values in columns.items()}
    return result


def table(mean: dict[str, dict[str, float | None]], cases: int) -> str:
    """The means as text, a line for each structure."""
    rows = [[f"mean of {cases} unseen knees", "DSC %", "precision %", "recall %", "Hausdorff mm"]]
    for structure, numbers in mean.items():
        cells = [
            "-" if value is None else f"{value:.2f}" if metric == "hd_mm" else f"{100 * value:.1f}"
            for metric, value in numbers.items()
        ]
        rows.append([structure.replace("_", " "), *cells])
    width = max(len(name) for name, *_ in rows)
    return "\n".join(f"{name:<{width}}" + "".join(f"  {cell:>12}" for cell in cells) for name, *cells in rows)


def environment(device: str) -> dict[str, Any]:
    """Versions and machine, without anything that names a person or a place."""
    return {
        "device": device,
        "python": platform.python_version(),
        "system": platform.system(),
        "machine": platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        **{name: metadata.version(name) for name in ("nnunet-eas", "nnunetv2", "torch", "numpy", "scipy", "SimpleITK")},
    }
