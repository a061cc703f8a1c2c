"""What a dataset's plan and split allow to train."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

FOLDS_OF_NNUNET = 5
"""nnU-Net makes so many where there is no split file."""


def folds_of(preprocessed: Path, wanted: Sequence[int] | None) -> list[int]:
    """The folds to train: all that the split file holds, or those that are wanted of them.

    Args:
        preprocessed: The dataset's folder of preprocessed data.
        wanted: Their numbers; None for all.

    Raises:
        ValueError: One is beyond the split file: nnU-Net would train it on a random split without a word's weight.
    """
    splits = preprocessed / "splits_final.json"
    n = len(json.loads(splits.read_text(encoding="utf-8"))) if splits.is_file() else FOLDS_OF_NNUNET
    beyond = [fold for fold in wanted or () if not 0 <= fold < n]
    if beyond:
        raise ValueError(f"--folds must be 0 to {n - 1}, the folds of {splits.name}, got {beyond}. Leave them out.")
    return sorted(set(wanted)) if wanted else list(range(n))


def stages_of(preprocessed: Path, plans_name: str, configurations: Sequence[str]) -> list[list[str]]:
    """The configurations in the order in which they can be trained: a cascade's second stage behind its first.

    Raises:
        FileNotFoundError: There is no such plan, or a configuration has not been preprocessed.
        ValueError: The plan has no such configuration, or the first stage of a cascade is not among them.
    """
    plans_file = preprocessed / f"{plans_name}.json"
    if not plans_file.is_file():
        there = sorted(path.stem for path in preprocessed.glob("*Plans*.json")) or "none"
        raise FileNotFoundError(
            f"-p must name plans in {preprocessed}, got {plans_name} (there: {there}). Run "
            "nnUNetv2_plan_and_preprocess or nnunet-eas plan_and_preprocess first."
        )
    planned = json.loads(plans_file.read_text(encoding="utf-8"))["configurations"]
    first: list[str] = []
    second: list[str] = []
    for name in dict.fromkeys(configurations):
        if name not in planned:
            raise ValueError(f"-c must name configurations of {plans_name}, got {name}. There are {sorted(planned)}.")
        data = preprocessed / str(_inherited(planned, name, "data_identifier"))
        if not data.is_dir() or not any(data.iterdir()):
            raise FileNotFoundError(
                f"{name} must be preprocessed before it is trained, got nothing in {data}. Run "
                f"nnUNetv2_preprocess -d {preprocessed.name} -plans_name {plans_name} -c {name}."
            )
        previous = _inherited(planned, name, "previous_stage")
        if previous is not None and previous not in configurations:
            raise ValueError(f"-c must hold {previous} where it holds {name}, which is trained on its masks, got none.")
        (first if previous is None else second).append(name)
    return [stage for stage in (first, second) if stage]


def _inherited(planned: dict[str, Any], name: str, key: str) -> Any:
    """A configuration's entry, or that of the one it inherits from."""
    while key not in planned[name] and "inherits_from" in planned[name]:
        name = planned[name]["inherits_from"]
    return planned[name].get(key)
