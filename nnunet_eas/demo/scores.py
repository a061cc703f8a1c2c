"""Scores predicted knees against the truth, with the spacing of each file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from nnunet_eas.evaluation import metrics
from nnunet_eas.phantom import LABELS

STRUCTURES = {name: label for name, label in LABELS.items() if label}


def score(reference_folder: Path, prediction_folder: Path, cases: Sequence[str]) -> list[dict[str, Any]]:
    """One record per case and structure: case, label, structure, dice, precision, recall (0..1) and hd_mm."""
    records = []
    for case in cases:
        truth = sitk.ReadImage(str(reference_folder / f"{case}.nii.gz"))
        spacing = truth.GetSpacing()[::-1]
        reference = sitk.GetArrayFromImage(truth)
        prediction = sitk.GetArrayFromImage(sitk.ReadImage(str(prediction_folder / f"{case}.nii.gz")))
        for structure, label in STRUCTURES.items():
            pair = {"reference": reference == label, "prediction": prediction == label}
            records.append(
                {
                    "case": case,
                    "label": label,
                    "structure": structure,
                    "dice": metrics.dice(**pair),
                    "precision": metrics.precision(**pair),
                    "recall": metrics.recall(**pair),
                    "hd_mm": metrics.hausdorff_mm(**pair, spacing=spacing),
                }
            )
    return records


def means(records: list[dict[str, Any]]) -> dict[str, dict[str, float | None]]:
    """Mean of each number over the cases, per structure. One undefined value makes the mean None: none is left out."""
    result: dict[str, dict[str, float | None]] = {}
    for structure in STRUCTURES:
        result[structure] = {}
        for name in ("dice", "precision", "recall", "hd_mm"):
            mean = float(np.mean([record[name] for record in records if record["structure"] == structure]))
            result[structure][name] = mean if np.isfinite(mean) else None
    return result
