"""Compares predicted masks with references, case by case and structure by structure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import SimpleITK as sitk

from nnunet_eas.evaluation.case_scores import Record, score_cases
from nnunet_eas.evaluation.cases import Case, Faults, find_cases
from nnunet_eas.evaluation.metrics import check_tolerance
from nnunet_eas.evaluation.model_folder import folds_in
from nnunet_eas.evaluation.structures import chosen, find_structures, labels_in
from nnunet_eas.evaluation.summary import COLUMNS, summarise
from nnunet_eas.evaluation.table import table
from nnunet_eas.support.errors import PartialSuccess
from nnunet_eas.support.files import write_csv, write_json
from nnunet_eas.support.parallel import check_workers


@dataclass(frozen=True)
class Evaluation:
    """Scores of predicted masks.

    Attributes:
        content: All that the JSON file holds: "definitions" of the numbers, "mean", "standard_deviation", "left_out",
            "per_case", "faults" and what was compared. Undefined numbers are None.
        folds: Names of the folds whose validation cases were evaluated; empty where a folder of masks was.
    """

    content: dict[str, Any]
    folds: tuple[str, ...] = ()

    @property
    def per_case(self) -> list[Record]:
        """A record for each case and structure: case, label, and the numbers that `content["definitions"]` defines."""
        return self.content["per_case"]

    def table(self) -> str:
        """The means as text, a line for each structure."""
        return table(self.content)

    def write_json(self, path: str | Path) -> None:
        """Writes `content` as strict JSON."""
        write_json(Path(path), self.content)

    def write_csv(self, path: str | Path) -> None:
        """Writes `per_case` as a table; undefined numbers are empty."""
        write_csv(Path(path), COLUMNS, self.per_case)


def evaluate(
    references: str | Path | sitk.Image | None,
    predictions: str | Path | sitk.Image,
    *,
    labels: int | Iterable[int] | None = None,
    dataset_json: str | Path | None = None,
    tolerance_mm: float = 1.0,
    unfinished: str | Path | None = None,
    workers: int = 1,
    progress: bool = False,
) -> Evaluation:
    """Compares predicted masks with references: overlap, surface distances in mm, and volumes.

    Args:
        references: Folder of masks, or one mask as an image. None finds the references of a trained model in
            nnUNet_preprocessed.
        predictions: Folder of masks with the same names, or a trained model's folder, of which all folds' validation
            cases are evaluated; an image where `references` is one.
        labels: Label values to compare. None takes all structures of dataset.json, or without one all labels that the
            references hold.
        dataset_json: dataset.json with the structures' names. None takes the one in `predictions`, if there is one.
        tolerance_mm: Distance in mm within which the normalised surface distance (NSD) counts surfaces as equal.
        unfinished: File in which scores are kept, so that a call which was interrupted goes on when it is made again;
            the caller removes it. None keeps nothing.
        workers: Processes. More than one start anew, so that a script needs `if __name__ == "__main__":`.
        progress: Show progress bars on terminals.

    Returns:
        The scores.

    Raises:
        FileNotFoundError: A folder or dataset.json is missing, or a folder has no masks.
        TypeError: One side is an image and the other one is not.
        ValueError: An argument is out of range, the names of the two folders do not match, or there are scans among
            the masks.
        PartialSuccess: Some cases could not be compared; its `result` has the scores of the others.

    Example:
        >>> import numpy as np, SimpleITK as sitk
        >>> from nnunet_eas import evaluate
        >>> reference = sitk.GetImageFromArray(np.ones((3, 4, 5), np.uint8))
        >>> scores = evaluate(reference, reference)
        >>> scores.per_case[0]["dice"]
        1.0
    """
    check_workers(workers)
    check_tolerance(tolerance_mm)
    folds: list[Path] = []
    if isinstance(references, sitk.Image) and isinstance(predictions, sitk.Image):
        structures, _ = find_structures(dataset_json, None)
        cases, faults = [Case("image", references, predictions)], Faults()
    elif isinstance(references, sitk.Image) or isinstance(predictions, sitk.Image):
        raise TypeError(
            f"references and predictions must both be images, or none of them, got {type(references).__name__} and "
            f"{type(predictions).__name__}. Give both in the same form."
        )
    else:
        folder = Path(predictions)
        structures, file_ending = find_structures(dataset_json, folder)
        folds = folds_in(folder)
        cases, faults = find_cases(folder, None if references is None else Path(references), file_ending)
    if labels is None and structures.known is None:
        labels = labels_in([case.reference for case in cases], workers, progress)
        if not labels:
            raise ValueError(
                f"references (-ref) must hold labels, got none in {len(cases)} masks that can be read. Give others, or "
                "labels (-l)."
            )
    if labels is not None:
        structures = chosen(labels, structures)

    scores = score_cases(cases, structures, tolerance_mm, unfinished=unfinished, workers=workers, progress=progress)
    records = [record for of_case in scores for record in of_case.records]
    faults |= {case.identifier: found.faults for case, found in zip(cases, scores, strict=True) if found.faults}
    faults = dict(sorted(faults.items()))
    content = summarise(records, faults, structures, tolerance_mm)
    result = Evaluation(content, tuple(fold.name for fold in folds))
    if faults:
        raise PartialSuccess(
            f"predictions (-pred) must fit references (-ref) in all cases, got faults in {', '.join(faults)}. Correct "
            f"these cases; the other {content['cases']} are evaluated.",
            result,
            {case: "; ".join(found) for case, found in faults.items()},
        )
    return result
