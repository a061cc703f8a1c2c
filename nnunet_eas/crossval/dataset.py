"""A dataset's folders, and the trainings that its plan and split allow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnunet_eas.support.datasets import check_folders, dataset_name
from nnunet_eas.support.files import read_json

SPLIT = "splits_final.json"
FOLDS_OF_NNUNET = 5  # where there is no split file


@dataclass(frozen=True)
class Dataset:
    """A dataset's folders."""

    name: str  # DatasetXXX_NAME
    results_root: Path  # nnUNet_results
    preprocessed: Path | None  # of the dataset; None where nnUNet_preprocessed is not set

    @property
    def results(self) -> Path:
        """The dataset's folder of results."""
        return self.results_root / self.name


def find_dataset(name_or_id: str, *, needs_preprocessed: bool = False) -> Dataset:
    """A dataset's folders by nnU-Net's variables."""
    from nnunetv2.paths import nnUNet_preprocessed, nnUNet_results

    check_folders("nnUNet_results", *["nnUNet_preprocessed"] * needs_preprocessed)
    name = dataset_name(name_or_id)
    preprocessed = Path(str(nnUNet_preprocessed)) / name if nnUNet_preprocessed.is_set() else None
    return Dataset(name, Path(str(nnUNet_results)), preprocessed)


def folds_of(preprocessed: Path, wanted: Sequence[int] | None = None) -> list[int]:
    """The folds to train: all of the split file, or those of it that are wanted.

    One beyond the split file is an error: nnU-Net would train it on a random split, with just a line in its log.
    """
    splits = preprocessed / SPLIT
    n = len(read_json(splits, SPLIT)) if splits.is_file() else FOLDS_OF_NNUNET
    if beyond := [fold for fold in wanted or () if not 0 <= fold < n]:
        raise ValueError(f"--folds must be 0 to {n - 1}, the folds of {SPLIT}, got {beyond}. Leave them out.")
    return sorted(set(wanted)) if wanted else list(range(n))


def check_cases(preprocessed: Path) -> None:
    """Raises ValueError where nnU-Net can't split the dataset into its five folds."""
    cases = len(list((preprocessed / "gt_segmentations").glob("*")))
    if 0 < cases < FOLDS_OF_NNUNET and not (preprocessed / SPLIT).is_file():
        raise ValueError(
            f"dataset (-d) must have at least {FOLDS_OF_NNUNET} training cases for nnU-Net's {FOLDS_OF_NNUNET} folds, "
            f"got {cases} in {preprocessed.name}. Add cases, or put a {SPLIT} with fewer folds into {preprocessed}."
        )


def stages_of(preprocessed: Path, plans_name: str, configurations: Sequence[str]) -> list[list[str]]:
    """The configurations in the order in which they can be trained: a cascade's second stage behind its first."""
    plans_file = preprocessed / f"{plans_name}.json"
    if not plans_file.is_file():
        there = sorted(path.stem for path in preprocessed.glob("*Plans*.json")) or "none"
        raise FileNotFoundError(
            f"-p must name plans in {preprocessed}, got {plans_name} (there: {there}). Run "
            "nnUNetv2_plan_and_preprocess or nnunet-eas plan_and_preprocess first."
        )
    planned = read_json(plans_file, "plans")["configurations"]
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
