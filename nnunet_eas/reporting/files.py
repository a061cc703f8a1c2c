"""Where the masks and scans of the models lie."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nnunet_eas.evaluation.cases import Case, Faults, check_filled, masks_in, matched
from nnunet_eas.evaluation.model_folder import preprocessed_dataset, split_cases, validation_masks
from nnunet_eas.reporting.model import Model


@dataclass(frozen=True)
class ModelCases:
    """What one model predicted.

    Attributes:
        cases: With their references, by identifier.
        faults: What is wrong with other cases, or with a fold.
    """

    cases: Mapping[str, Case]
    faults: Faults

    def fold(self, case: str) -> str:
        """The fold that predicted a case."""
        return self.cases[case].prediction.parent.parent.name.removeprefix("fold_")


def find_cases(models: Sequence[Model], references: Path | None, preprocessed: str | None) -> dict[str, ModelCases]:
    """Per model its validation cases.

    Args:
        models: All of one dataset.
        references: Folder of the reference masks; None is gt_segmentations of the preprocessed dataset.
        preprocessed: The folder nnUNet_preprocessed, if it is set.

    Raises:
        FileNotFoundError: A model has no validation masks, or the references are not there.
        ValueError: There are no references to be found.
    """
    dataset = preprocessed_dataset(models[0].path, preprocessed)
    folder = references or (dataset / "gt_segmentations" if dataset else None)
    if folder is None:
        raise ValueError(
            f"-ref must be a folder of masks, got nothing. Give it, or set nnUNet_preprocessed to where "
            f"{models[0].dataset_name} has its gt_segmentations."
        )
    truth = masks_in(folder, models[0].file_ending)
    check_filled(truth, "-ref", folder)
    found = {}
    for model in models:
        predictions, faults = validation_masks(model.folds, model.file_ending)
        if not predictions:
            raise FileNotFoundError(
                f"MODEL must hold validation masks, got none in {', '.join(fold.name for fold in model.folds)} of "
                f"{model.path}. Finish a training, or run nnUNetv2_train with --val."
            )
        cases, unmatched = matched(truth, predictions, split_cases(model.folds, dataset))
        found[model.name] = ModelCases({case.identifier: case for case in cases}, {**faults, **unmatched})
    return found


def images_folder(model: Model, given: Path | None, raw: str | None) -> Path | None:
    """The folder of the scans: the given one, or imagesTr of the dataset in nnUNet_raw; None where there is none."""
    if given is not None or not raw:
        return given
    folder = Path(raw) / model.dataset_name / "imagesTr"
    return folder if folder.is_dir() else None


def without_folders(faults: Faults, found: Mapping[str, ModelCases]) -> Faults:
    """Faults as a page may tell them: libraries name files with all their folders, which are this machine's.

    Args:
        faults: Any.
        found: What they are about.
    """
    files = {file for of_one in found.values() for c in of_one.cases.values() for file in (c.reference, c.prediction)}
    folders = sorted({f"{file.parent}{os.sep}" for file in files})
    return {case: [_without(text, folders) for text in why] for case, why in faults.items()}


def _without(text: str, parts: Iterable[str]) -> str:
    for part in parts:
        text = text.replace(part, "")
    return text
