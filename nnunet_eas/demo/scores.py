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

from nnunet_eas.evaluation.metrics import DEFINED_BY, definition, measure
from nnunet_eas.phantom import LABELS

STRUCTURES = {name: label for name, label in LABELS.items() if label}
METRICS = ("dice", "precision", "recall", "hd_mm")
DEFINITIONS = {metric: definition(DEFINED_BY[metric]) for metric in METRICS}


def score(reference_folder: Path, prediction_folder: Path, cases: Sequence[str]) -> list[dict[str, Any]]:
    """One record for each case and structure: case, label, structure, and the numbers of `METRICS` (None for NaN)."""
    records = []
    for case in cases:
        truth = sitk.ReadImage(str(reference_folder / f"{case}.nii.gz"))
        reference = sitk.GetArrayFromImage(truth)
        prediction = sitk.GetArrayFromImage(sitk.ReadImage(str(prediction_folder / f"{case}.nii.gz")))
        for structure, label in STRUCTURES.items():
            numbers = measure(
                reference=reference == label,
                prediction=prediction == label,
                spacing=truth.GetSpacing()[::-1],
                tolerance_mm=1.0,
            )
            named = {metric: None if np.isnan(numbers[metric]) else numbers[metric] for metric in METRICS}
            records.append({"case": case, "label": label, "structure": structure, **named})
    return records


def means(records: list[dict[str, Any]]) -> dict[str, dict[str, float | None]]:
    """Means over the cases for each structure; None where one value is undefined, because none is left out."""
    values = {
        structure: {m: [record[m] for record in records if record["structure"] == structure] for m in METRICS}
        for structure in STRUCTURES
    }
    return {
        structure: {m: None if None in column else float(np.mean(column)) for m, column in columns.items()}
        for structure, columns in values.items()
    }


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
    packages = ("nnunet-eas", "nnunetv2", "torch", "numpy", "scipy", "SimpleITK")
    return {
        "device": device,
        "python": platform.python_version(),
        "system": platform.system(),
        "machine": platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        **{package: metadata.version(package) for package in packages},
    }
