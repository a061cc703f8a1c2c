"""A trained model's folder, TRAINER__PLANS__CONFIGURATION: all folds' validation cases, and their references."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from nnunet_eas.evaluation.mask_file import masks_in
from nnunet_eas.support.files import read_json


def folds_in(folder: Path) -> list[Path]:
    """The folders of trained folds; empty where `folder` is no trained model.

    fold_all counts only where it is the only one: its validation cases are those that it was trained on.
    """
    numbered = [path for path in folder.glob("fold_*") if path.is_dir() and _number(path) is not None]
    of_all = folder / "fold_all"
    return sorted(numbered, key=lambda path: _number(path) or 0) or ([of_all] if of_all.is_dir() else [])


def validation_masks(folds: Sequence[Path], file_ending: str | None) -> tuple[dict[str, list[Path]], list[str]]:
    """The validation masks of all folds by case identifier, and the names of folds without any."""
    masks: dict[str, list[Path]] = {}
    empty = []
    for fold in folds:
        of_fold = masks_in(fold / "validation", file_ending)
        empty += [] if of_fold else [fold.name]
        for case, files in of_fold.items():
            masks.setdefault(case, []).extend(files)
    if not masks:
        raise FileNotFoundError(
            f"a trained model must hold validation masks, got none in {', '.join(empty)} of {folds[0].parent}. "
            "Finish a training, or run nnUNetv2_train with --val."
        )
    return masks, empty


def preprocessed_dataset(model: Path) -> Path | None:
    """Folder of a model's dataset in nnUNet_preprocessed, with references and split; None where it is missing."""
    preprocessed, plans = os.environ.get("nnUNet_preprocessed"), model / "plans.json"
    if not preprocessed or not plans.is_file():
        return None
    folder = Path(preprocessed) / str(read_json(plans, "plans.json", keys=["dataset_name"])["dataset_name"])
    return folder if (folder / "gt_segmentations").is_dir() else None


def split_cases(folds: Sequence[Path], dataset: Path | None) -> set[str]:
    """The validation cases that the dataset's split gives these folds; empty where there is no split."""
    file = dataset / "splits_final.json" if dataset else None
    if file is None or not file.is_file():
        return set()
    split = read_json(file, "splits_final.json")
    try:
        validation = [list(map(str, fold["val"])) for fold in split]
    except (TypeError, KeyError) as error:
        raise ValueError(f"{file} must be a list of folds with val, got something else. Write it anew.") from error
    numbers = [number for fold in folds if (number := _number(fold)) is not None]
    return {case for number in numbers if number < len(validation) for case in validation[number]}


def _number(fold: Path) -> int | None:
    digits = fold.name.removeprefix("fold_")
    return int(digits) if digits.isdecimal() else None
