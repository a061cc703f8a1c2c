"""Dice of a trained model on its validation cases, from nnU-Net's summary.json of each fold."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from nnunet_eas.evaluation.structures import structures_of_dataset
from nnunet_eas.sharing.model_files import ModelFiles
from nnunet_eas.support.files import read_json

FOREGROUND = "mean of the structures"


def dice_of_folds(model: ModelFiles) -> dict[str, list[float]]:
    """Dice by structure, a number for each fold; NaN where a fold has none, and nothing where no fold has any.

    The files name cases and folders: only numbers are taken from them.
    """
    files = [model.folder / f"fold_{fold}" / "validation" / "summary.json" for fold in model.packed.folds]
    if not any(file.is_file() for file in files):
        return {}
    labels = model.dataset["labels"]
    keys = {name: labels[name] for name in structures_of_dataset(labels).values}
    dice: dict[str, list[float]] = {name: [] for name in (*keys, FOREGROUND)}
    for file in files:
        content = read_json(file, "summary.json") if file.is_file() else {"mean": {}}
        for name, value in keys.items():  # nnU-Net writes a region as Python prints a tuple
            of_label = content["mean"].get(str(tuple(value) if isinstance(value, list) else value), {})
            dice[name].append(float(of_label.get("Dice", math.nan)))
        dice[FOREGROUND].append(float(content.get("foreground_mean", {}).get("Dice", math.nan)))
    return dice


def mean(numbers: Sequence[float]) -> float:
    """The mean of the numbers that are defined; NaN where none is."""
    defined = [number for number in numbers if not math.isnan(number)]
    return statistics.fmean(defined) if defined else math.nan
