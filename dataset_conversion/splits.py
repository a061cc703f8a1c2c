"""Which cases train and which validate: nnU-Net's own folds, official lists, a file; never a patient on both sides."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from dataset_conversion.raw_dataset import Split

FOLDS = 5


def nnunet_folds(patients: Mapping[str, str]) -> Split | None:
    """nnU-Net's own five folds; None where they need no file, because each patient has one case only.

    The folds are drawn as nnU-Net draws them, from patients in the place of cases.

    Args:
        patients: Of each case identifier, the patient.
    """
    names = np.array(sorted(set(patients.values())))
    if len(names) == len(patients):
        return None
    if len(names) < FOLDS:
        raise ValueError(f"Five folds need at least {FOLDS} patients, got {len(names)}. Convert more, or give --split.")
    from sklearn.model_selection import KFold  # takes most of a second to import, and few need it

    folds = KFold(n_splits=FOLDS, shuffle=True, random_state=12345).split(names)
    return [_fold(patients, set(names[validation])) for _, validation in folds]


def two_fold(patients: Mapping[str, str], lists: Sequence[Sequence[str]]) -> Split:
    """The official split in halves: fold 0 validates on the second list, fold 1 on the first.

    Args:
        patients: Of each case identifier, the patient.
        lists: Patients of each half.

    Raises:
        ValueError: The source has no such lists, or a patient stands in none or both.
    """
    if len(lists) != 2:
        raise ValueError("--split two-fold needs the archive's two lists, got none. Choose another --split.")
    halves = [set(half) for half in lists]
    listed = halves[0] | halves[1]
    if wrong := sorted({p for p in patients.values() if p not in listed} | (halves[0] & halves[1])):
        raise ValueError(
            f"Every patient must stand in one of the archive's two lists, got {', '.join(wrong)} in none or both. Mend "
            "the lists, or choose another --split."
        )
    return [_fold(patients, halves[1]), _fold(patients, halves[0])]


def split_from_file(patients: Mapping[str, str], file: Path) -> Split:
    """A split in nnU-Net's format, of case identifiers or patients.

    Raises:
        ValueError: It names unknown cases, is no split, or has a patient on both sides.
    """
    try:
        content = json.loads(file.read_text())
        folds = [{side: [str(i) for i in fold[side]] for side in ("train", "val")} for fold in content]
    except (json.JSONDecodeError, TypeError, KeyError) as error:
        raise ValueError(
            f'{file} must hold [{{"train": [...], "val": [...]}}, ...], got something else. Write it as nnU-Net does.'
        ) from error
    cases_of: dict[str, list[str]] = {}
    for case, patient in patients.items():
        cases_of.setdefault(patient, []).append(case)
        cases_of.setdefault(case, []).append(case)
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
                f"No patient must stand on both sides of a fold, got {', '.join(shared[:5])} in fold "
                f"{number}. Keep all "
                "scans of a patient together."
            )


def folds_warning(split: Split | None) -> str | None:
    """What to know about folds that the file does not hold."""
    if split is None or len(split) >= FOLDS:
        return None
    return (
        f"splits_final.json holds {len(split)} fold(s): train 0 to {len(split) - 1} only. nnU-Net "
        f"makes up a random split, "
        "patients mixed, for any fold beyond, without an error."
    )


def few_cases_warning(split: Split | None, cases: int) -> str | None:
    """Whether nnU-Net will fail to make its own folds."""
    if split is not None or cases >= FOLDS:
        return None
    return f"nnU-Net's own five folds need {FOLDS} cases, got {cases}: convert more, give --split, or train fold all."


def _fold(patients: Mapping[str, str], validation: set[str]) -> dict[str, list[str]]:
    split: dict[str, list[str]] = {"train": [], "val": []}
    for case in sorted(patients):
        split["val" if patients[case] in validation else "train"].append(case)
    return split
