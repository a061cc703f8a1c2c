"""The best configuration or ensemble, as nnU-Net's find_best_configuration chooses it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nnunet_eas.crossval.fold import LOCK, Fold, Model
from nnunet_eas.support.files import read_json
from nnunet_eas.support.locks import locked
from nnunet_eas.support.nnunet_commands import call

FILE = "inference_information.json"


@dataclass(frozen=True)
class Best:
    """The models that predict best on the validation cases.

    Attributes:
        models: One, or those of an ensemble.
        folds: The folds of each model.
        dice: Mean over the structures on the validation cases, with postprocessing.
        postprocessing: nnU-Net's file of the postprocessing.
        plans_file: The plans with which the postprocessing is applied.
    """

    models: tuple[Model, ...]
    folds: tuple[int, ...]
    dice: float
    postprocessing: Path
    plans_file: Path


def read_best(dataset: Path) -> Best:
    """Reads nnU-Net's choice.

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
    content = read_json(path, FILE)
    chosen = content["best_model_or_ensemble"]
    best = Best(
        models=tuple(
            Model(one["trainer"], one["plans_identifier"], one["configuration"])
            for one in chosen["selected_model_or_models"]
        ),
        folds=tuple(content["folds"]),
        dice=chosen["result_on_crossval_post_pp"],
        # nnU-Net writes whole paths; its results may have moved since
        postprocessing=_moved(Path(chosen["postprocessing_file"]), dataset),
        plans_file=_moved(Path(chosen["some_plans_file"]), dataset),
    )
    missing = [str(file) for file in (best.postprocessing, best.plans_file) if not file.is_file()]
    if missing:
        raise FileNotFoundError(f"{path} must name files that are there, got {', '.join(missing)}. Run crossval again.")
    return best


def _moved(file: Path, dataset: Path) -> Path:
    """The file in the dataset's present folder."""
    if file.is_file() or dataset.name not in file.parts:
        return file
    below = file.parts[len(file.parts) - file.parts[::-1].index(dataset.name) :]
    return dataset.joinpath(*below)


def find_best(folds: Sequence[Fold]) -> Best:
    """Runs nnU-Net's find_best_configuration, unless its choice is newer than these folds.

    Of several processes at a time one runs it, and the others wait, because it writes the same files in all of them.

    Args:
        folds: The trained ones: the same numbers of every configuration, of one trainer and plans.

    Raises:
        RuntimeError: nnU-Net ended with an error.
    """
    dataset = folds[0].results / folds[0].dataset
    with locked(dataset / LOCK, wait_s=-1):
        if not _is_known(dataset, folds):
            call(_command(folds), dataset / "crossval.txt")
    return read_best(dataset)


def _is_known(dataset: Path, folds: Sequence[Fold]) -> bool:
    path = dataset / FILE
    try:
        content = read_json(path, FILE)
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
