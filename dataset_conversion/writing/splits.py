"""Splits into training and validation: nnU-Net's own folds, official lists, or a file; no patient on both sides."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nnunet_eas.support.files import read_json

Split = list[dict[str, list[str]]]

FOLDS = 5


def make_split(split: str | Path, patients: Mapping[str, str], lists: Sequence[Sequence[str]]) -> Split | None:
    """Content of splits_final.json: "nnunet", "two-fold" or a file; None where nnU-Net is to draw its own folds.

    `patients` has the patient of each case identifier, `lists` those of each half of the source's own two-fold split.
    """
    if split == "nnunet":
        return nnunet_folds(patients)
    if split == "two-fold":
        return two_fold(patients, lists)
    if not Path(split).is_file():
        raise FileNotFoundError(f"--split must be nnunet, two-fold or a file, got {split}. Correct the path.")
    return split_from_file(patients, Path(split))


def nnunet_folds(patients: Mapping[str, str]) -> Split | None:
    """nnU-Net's own five folds, drawn from patients instead of cases; None where every patient has one case only."""
    names = np.array(sorted(set(patients.values())))
    if len(names) == len(patients):
        return None
    if len(names) < FOLDS:
        raise ValueError(f"Five folds need at least {FOLDS} patients, got {len(names)}. Convert more, or give --split.")
    from sklearn.model_selection import KFold  # takes most of a second to import, and few need it

    folds = KFold(n_splits=FOLDS, shuffle=True, random_state=12345).split(names)
    return [_fold(patients, set(names[validation])) for _, validation in folds]


def two_fold(patients: Mapping[str, str], lists: Sequence[Sequence[str]]) -> Split:
    """The official split in halves: fold 0 validates on the second list, fold 1 on the first."""
    if len(lists) != 2:
        raise ValueError("--split two-fold needs the archive's two lists, got none. Choose another --split.")
    first, second = (set(half) for half in lists)
    if wrong := sorted({p for p in patients.values() if p not in first | second} | (first & second)):
        raise ValueError(
            f"Every patient must stand in one of the archive's two lists, got {', '.join(wrong)} in none or both. "
            "Correct the lists, or choose another --split."
        )
    return [_fold(patients, second), _fold(patients, first)]


def split_from_file(patients: Mapping[str, str], file: Path) -> Split:
    """A split in nnU-Net's format, of case identifiers or patients."""
    try:
        content = read_json(file, "--split")
        folds = [{side: [str(i) for i in fold[side]] for side in ("train", "val")} for fold in content]
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f'{file} must hold [{{"train": [...], "val": [...]}}, ...], got something else. Write it as nnU-Net does.'
        ) from error
    cases_of: dict[str, list[str]] = {}
    for case, patient in patients.items():
        for name in (patient, case):
            cases_of.setdefault(name, []).append(case)
    if unknown := sorted({i for fold in folds for ids in fold.values() for i in ids if i not in cases_of}):
        raise ValueError(
            f"{file} must name converted cases or patients, got {', '.join(unknown[:5])}"
            f"{' and others' if len(unknown) > 5 else ''}. Take them out."
        )
    split = [{side: sorted({c for i in ids for c in cases_of[i]}) for side, ids in fold.items()} for fold in folds]
    refuse_shared_patients(split, patients)
    return split


def refuse_shared_patients(split: Split, patients: Mapping[str, str]) -> None:
    """Raises ValueError where a patient trains and validates in the same fold."""
    for number, fold in enumerate(split):
        if shared := sorted({patients[c] for c in fold["train"]} & {patients[c] for c in fold["val"]}):
            raise ValueError(
                f"No patient must stand on both sides of a fold, got {', '.join(shared[:5])} in fold {number}. Keep "
                "all scans of a patient together."
            )


def split_warnings(split: Split | None, cases: int, dataset: str) -> list[str]:
    """Warnings of what nnU-Net will do with a split, or with its own where that is None."""
    if split is None:
        if cases >= FOLDS:
            return []
        return [
            f"nnU-Net's own five folds need {FOLDS} cases, got {cases}: convert more, give --split, or train fold all."
        ]
    found = []
    if len(split) < FOLDS:
        found.append(
            f"splits_final.json holds {len(split)} fold(s): train 0 to {len(split) - 1} only. nnU-Net makes up a "
            "random split, patients mixed, for any fold beyond, without an error."
        )
    preprocessed = Path(os.environ.get("nnUNet_preprocessed", "")) / dataset / "splits_final.json"
    if preprocessed.is_file() and _content(preprocessed) != split:
        found.append(f"{preprocessed} holds another split, and nnU-Net will refuse to plan. Remove it.")
    return found


def _content(file: Path) -> Any:
    """The content of a JSON; None where it is damaged."""
    try:
        return read_json(file, file.name)
    except ValueError:
        return None


def _fold(patients: Mapping[str, str], validation: set[str]) -> dict[str, list[str]]:
    validates = sorted(case for case, patient in patients.items() if patient in validation)
    return {"train": sorted(set(patients) - set(validates)), "val": validates}
