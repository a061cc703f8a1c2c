"""Which prediction belongs to which reference: two folders of masks with the same names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nnunet_eas.evaluation.mask_file import ENDINGS

Faults = dict[str, list[str]]
"""Per case identifier, what is wrong and what to do."""


@dataclass(frozen=True)
class Case:
    """One prediction and its reference."""

    identifier: str
    reference: Path
    prediction: Path


def masks_in(folder: Path, file_ending: str | None) -> dict[str, list[Path]]:
    """The masks of a folder by case identifier, which is the name without its ending; one for each ending it has.

    Args:
        folder: Searched without what lies below it.
        file_ending: What dataset.json says. Other files count only where there is none with this ending.
    """
    if file_ending is not None and file_ending not in ENDINGS:
        raise ValueError(
            f"file_ending in dataset.json must be one of {' '.join(ENDINGS)}, got {file_ending!r}. Convert the masks."
        )
    found: dict[str, list[Path]] = {}
    for endings in ([file_ending] if file_ending else [], ENDINGS):
        for path in sorted(folder.iterdir()) if folder.is_dir() else []:
            ending = next((e for e in endings if path.name.endswith(e)), None)
            if ending and path.is_file() and not path.name.startswith("."):
                found.setdefault(path.name.removesuffix(ending), []).append(path)
        if found:
            break
    return found


def check_filled(masks: Mapping[str, Sequence[Path]], argument: str, folder: Path) -> None:
    """Raises FileNotFoundError where a folder has no masks, or is none."""
    if not folder.is_dir():
        raise FileNotFoundError(f"{argument} must be a folder, got {folder}. Correct the path.")
    if not masks:
        raise FileNotFoundError(
            f"{argument} must hold masks ({' '.join(ENDINGS)}), got none in {folder}. Give the folder they lie in."
        )


def matched(
    references: Mapping[str, Sequence[Path]], predictions: Mapping[str, Sequence[Path]], wanted: Iterable[str]
) -> tuple[list[Case], Faults]:
    """The cases that have one file on either side, and what is wrong with the others.

    Args:
        references: By `masks_in`.
        predictions: Likewise.
        wanted: The cases that must be predicted. Whatever is predicted must have a reference besides.
    """
    cases, faults = [], {}
    for case in sorted({*wanted, *predictions}):
        sides = {"reference": references.get(case, ()), "prediction": predictions.get(case, ())}
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
