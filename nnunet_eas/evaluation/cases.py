"""Pairs of predictions and references: two folders of masks with the same names, or a trained model's folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import SimpleITK as sitk

from nnunet_eas.evaluation.mask_file import check_filled, masks_in
from nnunet_eas.evaluation.model_folder import folds_in, preprocessed_dataset, split_cases, validation_masks

Faults = dict[str, list[str]]
"""By case identifier, the reasons why a case can't be compared, each with what to do."""


@dataclass(frozen=True)
class Case:
    """A prediction and its reference: files, or images in memory."""

    identifier: str
    reference: Path | sitk.Image
    prediction: Path | sitk.Image


def find_cases(predictions: Path, references: Path | None, file_ending: str | None) -> tuple[list[Case], Faults]:
    """Finds the cases with one prediction and one reference, and the faults of all others.

    Args:
        predictions: Folder of masks; every reference must have one. Or a trained model's folder: the validation cases
            of its folds, which are all those of the dataset's split where there is one.
        references: Folder of masks. None finds those of a trained model in nnUNet_preprocessed.
        file_ending: As for `masks_in`.
    """
    folds, dataset, faults = folds_in(predictions), None, Faults()
    if folds:
        dataset = preprocessed_dataset(predictions)
        predicted, empty = validation_masks(folds, file_ending)
        faults = {
            fold: ["validation must hold masks, got none. Finish its training, or run it with --val."] for fold in empty
        }
    else:
        predicted = masks_in(predictions, file_ending)
        check_filled(predicted, "predictions (-pred)", predictions)
    references = references or (dataset / "gt_segmentations" if dataset else None)
    if references is None:
        raise ValueError(
            "references (-ref) must be a folder of masks, got nothing. Give it, or set nnUNet_preprocessed to the "
            "folder where a trained model's dataset has gt_segmentations."
        )
    if references.resolve() == predictions.resolve():
        raise ValueError(
            f"predictions (-pred) must be another folder than references (-ref), got {predictions} for both. Give the "
            "predictions."
        )
    true = masks_in(references, file_ending)
    check_filled(true, "references (-ref)", references)
    if not set(true) & set(predicted):
        raise ValueError(
            f"predictions (-pred) must be named as the references (-ref), got {min(predicted)} and so on where the "
            f"references have {min(true)}. Give the folder of the predicted masks, or rename them."
        )

    cases = []
    for case in sorted({*(split_cases(folds, dataset) if folds else true), *predicted}):
        sides = {"reference": true.get(case, []), "prediction": predicted.get(case, [])}
        found = [_fault(side, files) for side, files in sides.items() if len(files) != 1]
        if found:
            faults[case] = found
        else:
            cases.append(Case(case, sides["reference"][0], sides["prediction"][0]))
    return cases, faults


def _fault(side: str, files: Sequence[Path]) -> str:
    if files:
        names = ", ".join(f"{path.parent.parent.name}/{path.parent.name}/{path.name}" for path in files)
        return f"the {side} must be one file, got {names}. Evaluate the folders one by one, or remove the others."
    return f"the {side} must be there, got none of this name. Add it, or take the other side's mask out."
