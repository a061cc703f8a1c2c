"""The best configuration or ensemble, as nnU-Net's find_best_configuration chooses it."""

from __future__ import annotations

import math
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
    """The models that predict best on the validation cases, and nnU-Net's files of their postprocessing."""

    models: tuple[Model, ...]  # one, or those of an ensemble
    folds: tuple[int, ...]  # of each model
    dice: float  # mean over the structures, with postprocessing
    postprocessing: Path
    plans_file: Path


def read_best(dataset: Path) -> Best:
    """Reads nnU-Net's choice from a dataset's folder of results."""
    path = dataset / FILE
    content = read_json(path, "the best configuration of -d", "Run nnunet-eas crossval.")
    try:
        chosen = content["best_model_or_ensemble"]
        best = Best(
            models=tuple(
                Model(str(one["trainer"]), str(one["plans_identifier"]), str(one["configuration"]))
                for one in chosen["selected_model_or_models"]
            ),
            folds=tuple(map(int, content["folds"])),
            dice=math.nan if (dice := chosen["result_on_crossval_post_pp"]) is None else float(dice),
            postprocessing=_moved(Path(chosen["postprocessing_file"]), dataset),
            plans_file=_moved(Path(chosen["some_plans_file"]), dataset),
        )
        is_whole = bool(best.models and best.folds)
    except (KeyError, TypeError, ValueError, OverflowError):
        is_whole = False
    if not is_whole:
        raise ValueError(f"{path} must name models, folds and their files, as nnU-Net writes it. Run crossval again.")
    missing = [str(file) for file in (best.postprocessing, best.plans_file) if not file.is_file()]
    if missing:
        raise FileNotFoundError(f"{path} must name files that are there, got {', '.join(missing)}. Run crossval again.")
    return best


def _moved(file: Path, dataset: Path) -> Path:
    """The file in the dataset's present folder: nnU-Net writes whole paths, and its results may have moved since.

    The paths of an unpacked model are relative to the folder.
    """
    if not file.is_absolute() and (dataset / file).is_file():
        return dataset / file
    if file.is_file() or dataset.name not in file.parts:
        return file
    return dataset.joinpath(*file.parts[len(file.parts) - file.parts[::-1].index(dataset.name) :])


def find_best(folds: Sequence[Fold]) -> Best:
    """Runs nnU-Net's find_best_configuration on trained folds, unless its choice is newer than these.

    Of several processes at a time one runs it, and the others wait, because it writes the same files in all of them.
    The folds have the same numbers for every configuration, and one trainer and plans.
    """
    dataset, trainer, plans = folds[0].results / folds[0].dataset, folds[0].trainer, folds[0].plans
    configurations = list(dict.fromkeys(fold.configuration for fold in folds))
    command = ["nnUNetv2_find_best_configuration", dataset.name, "-c", *configurations, "-tr", trainer, "-p", plans]
    command += ["-f", *map(str, sorted({fold.number for fold in folds}))]
    if len(configurations) == 1:
        command.append("--disable_ensembling")
    with locked(dataset / LOCK, wait_s=-1):
        if not _is_known(dataset / FILE, folds):
            call(command, dataset / "crossval.txt")
    return read_best(dataset)


def _is_known(choice: Path, folds: Sequence[Fold]) -> bool:
    newest = max((fold.folder / "validation" / "summary.json").stat().st_mtime for fold in folds)
    try:
        content = read_json(choice, FILE)
        considered = {(one["trainer"], one["plans"], one["configuration"]) for one in content["considered_models"]}
        numbers = set(content["folds"])
    except (OSError, ValueError, KeyError, TypeError):
        return False
    is_of_these = considered == {(fold.trainer, fold.plans, fold.configuration) for fold in folds}
    return is_of_these and numbers == {fold.number for fold in folds} and choice.stat().st_mtime > newest
