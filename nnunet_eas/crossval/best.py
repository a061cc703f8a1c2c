"""What nnU-Net's find_best_configuration chose, and prediction with it."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnunet_eas.crossval.fold import LOCK, Fold
from nnunet_eas.crossval.training import call

FILE = "inference_information.json"


@dataclass(frozen=True)
class Model:
    """A trained model, in nnU-Net's words."""

    trainer: str
    plans: str
    configuration: str

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.trainer}__{self.plans}__{self.configuration}"


@dataclass(frozen=True)
class Best:
    """What predicts best on the validation cases.

    Attributes:
        models: One, or those of an ensemble.
        folds: Of each of them.
        dice: Mean over the structures on the validation cases, with postprocessing.
        postprocessing: nnU-Net's file of it.
        plans_file: The plans that it is applied with.
    """

    models: tuple[Model, ...]
    folds: tuple[int, ...]
    dice: float
    postprocessing: Path
    plans_file: Path


def read_best(dataset: Path) -> Best:
    """Reads it.

    Args:
        dataset: The dataset's folder of results.

    Raises:
        FileNotFoundError: find_best_configuration has not been run, or its files are gone.
    """
    path = dataset / FILE
    if not path.is_file():
        raise FileNotFoundError(
            f"-d must be a dataset whose best configuration is known, got no {path}. Run nnunet-eas crossval."
        )
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    chosen = content["best_model_or_ensemble"]
    best = Best(
        models=tuple(
            Model(one["trainer"], one["plans_identifier"], one["configuration"])
            for one in chosen["selected_model_or_models"]
        ),
        folds=tuple(content["folds"]),
        dice=chosen["result_on_crossval_post_pp"],
        # nnU-Net writes whole paths; its results may have moved since
        postprocessing=_where_it_is(Path(chosen["postprocessing_file"]), dataset),
        plans_file=_where_it_is(Path(chosen["some_plans_file"]), dataset),
    )
    missing = [str(file) for file in (best.postprocessing, best.plans_file) if not file.is_file()]
    if missing:
        raise FileNotFoundError(f"{path} must name files that are there, got {', '.join(missing)}. Run crossval again.")
    return best


def _where_it_is(file: Path, dataset: Path) -> Path:
    """The file in the dataset's folder of today."""
    if file.is_file() or dataset.name not in file.parts:
        return file
    below = file.parts[len(file.parts) - file.parts[::-1].index(dataset.name) :]
    return dataset.joinpath(*below)


def find_best(folds: Sequence[Fold]) -> Best:
    """Runs nnU-Net's find_best_configuration, unless what it found is newer than these folds.

    Of several processes that come here at once one runs it, and the others wait: it writes where it likes.

    Args:
        folds: The trained ones: the same numbers of every configuration, of one trainer and plans.

    Raises:
        RuntimeError: nnU-Net ended with an error.
    """
    dataset = folds[0].results / folds[0].dataset
    with (dataset / LOCK).open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if not _is_known(dataset, folds):
            call(_command(folds), dataset / "crossval.txt")
    return read_best(dataset)


def _is_known(dataset: Path, folds: Sequence[Fold]) -> bool:
    path = dataset / FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        considered = {(one["trainer"], one["plans"], one["configuration"]) for one in content["considered_models"]}
    except (OSError, ValueError, KeyError, TypeError):
        return False
    if considered != {(fold.trainer, fold.plans, fold.configuration) for fold in folds}:
        return False
    newest = max((fold.folder / "validation" / "summary.json").stat().st_mtime for fold in folds)
    return set(content["folds"]) == {fold.number for fold in folds} and path.stat().st_mtime > newest


def _command(folds: Sequence[Fold]) -> list[str]:
    configurations = list(dict.fromkeys(fold.configuration for fold in folds))
    command = ["nnUNetv2_find_best_configuration", folds[0].dataset, "-c", *configurations]
    command += ["-tr", folds[0].trainer, "-p", folds[0].plans]
    command += ["-f", *map(str, sorted({fold.number for fold in folds}))]
    return [*command, *(["--disable_ensembling"] if len(configurations) == 1 else [])]
