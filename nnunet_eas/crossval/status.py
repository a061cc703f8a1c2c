"""Progress of the folds, read from what nnU-Net and crossval write beside them."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from nnunet_eas.crossval.dataset import SPLIT, Dataset, folds_of
from nnunet_eas.crossval.fold import Fold, Model
from nnunet_eas.crossval.record import read_record
from nnunet_eas.reporting.training_log import Curve, read_curve
from nnunet_eas.support.files import read_json

RECENT = 10  # epochs from whose time the rest is estimated


@dataclass(frozen=True)
class Status:
    """Progress of a fold."""

    fold: Fold
    state: str  # trained, running, validating, failed, interrupted or waiting
    curve: Curve  # the finished epochs
    epochs: int | None  # of the whole training; None before it has written the number
    node: str  # on which it runs, or ran
    error: str  # that ended the last attempt

    def __str__(self) -> str:
        if self.state == "validating":
            return f"{self.fold}: validating"
        if self.state in ("waiting", "interrupted", "failed"):
            return f"{self.fold}: waiting for its job to begin"
        if not self.curve:
            return f"{self.fold}: in its first epoch"
        numbers = f"pseudo Dice {self.pseudo_dice:.2f}, {self.epoch_seconds:.0f} s an epoch"
        return f"{self.fold}: epoch {self.epochs_done}, {numbers}"

    @property
    def epochs_done(self) -> str:
        """Finished epochs of all, 12/1000."""
        done = str(len(self.curve)) if self.curve else "-"
        return f"{done}/{self.epochs}" if self.epochs else done

    @property
    def epoch_seconds(self) -> float:
        """Median of the last epochs; NaN before the first has ended."""
        seconds = sorted(e.seconds for e in list(self.curve.values())[-RECENT:] if not math.isnan(e.seconds))
        return seconds[len(seconds) // 2] if seconds else math.nan

    @property
    def seconds_left(self) -> float:
        """Time of the remaining epochs, without the validation; NaN where it can't be known."""
        if self.state != "running" or self.epochs is None:
            return math.nan
        return (self.epochs - len(self.curve)) * self.epoch_seconds

    @property
    def pseudo_dice(self) -> float:
        """Pseudo Dice of the last epoch."""
        return list(self.curve.values())[-1].pseudo_dice if self.curve else math.nan


def status_of(fold: Fold) -> Status:
    """The progress of a fold, of which nothing needs to exist."""
    record = read_record(fold.folder)
    if fold.is_trained():
        state = "trained"
    elif fold.is_in_use():
        state = "validating" if fold.has_final_checkpoint() else "running"
    elif record is not None and record.error:
        state = "failed"
    else:
        begun = record is not None or fold.has_checkpoint() or fold.has_final_checkpoint()
        state = "interrupted" if begun else "waiting"
    node, error = (record.node, record.error) if record else ("", "")
    return Status(fold, state, read_curve(fold.folder), _epochs(fold.folder), node, error)


def statuses_of(
    dataset: Dataset,
    *,
    configurations: Collection[str] | None = None,
    trainer: str | None = None,
    plans: str | None = None,
    everything: bool = False,
) -> tuple[list[Status], list[str]]:
    """The progress of a dataset's folds, and sentences about what was left out.

    Args:
        dataset: Its folders.
        configurations: Only these; None for all.
        trainer: Only this trainer's models; None for those of the trainer that was last at work.
        plans: Only models of these plans; None for all.
        everything: Models of all trainers, and folds that the split file does not have.
    """
    begun = {
        model: max(fold.stat().st_mtime for fold in folds)
        for model in models_of(dataset.results)
        if (not configurations or model.configuration in configurations) and plans in (None, model.plans)
        if (folds := list((dataset.results / model.name).glob("fold_*")))
    }
    left_out = []
    if trainer is None and not everything and begun:
        trainer = max(begun, key=lambda model: begun[model]).trainer
        if others := sorted({model.trainer for model in begun} - {trainer}):
            left_out.append(f"not shown: the models of {', '.join(others)}; give -tr or --all")
    models = [model for model in begun if trainer in (None, model.trainer)]
    if not models:
        raise FileNotFoundError(f"-d must be a dataset with trainings, got none in {dataset.results}. Train first.")
    statuses = []
    for model in models:
        folder = dataset.results / model.name
        numbers = {int(path.name[5:]) for path in folder.glob("fold_*") if path.name[5:].isdecimal()}
        if dataset.preprocessed is not None and dataset.preprocessed.is_dir():
            of_split = set(folds_of(dataset.preprocessed))
            beyond = sorted(numbers - of_split)
            numbers = numbers | of_split if everything else of_split
            if beyond and not everything:
                left_out.append(
                    f"not shown: fold {', '.join(map(str, beyond))} of {model.name}, beyond {SPLIT}; give --all"
                )
        statuses += [
            status_of(Fold(dataset.name, model.configuration, model.trainer, model.plans, number, dataset.results_root))
            for number in sorted(numbers)
        ]
    return statuses, left_out


def models_of(results: Path) -> list[Model]:
    """The models in a dataset's folder of results, by their folders' names."""
    found = [path.name.split("__") for path in sorted(results.glob("*__*__*")) if path.is_dir()]
    return [Model(*parts) for parts in found if len(parts) == 3]


def table(statuses: Sequence[Status]) -> str:
    """A text table with a line for each fold."""
    rows = [("model", "fold", "state", "epoch", "s/epoch", "left", "pseudo Dice", "node", "last error")]
    for status in statuses:
        seconds, minutes = status.epoch_seconds, status.seconds_left / 60
        rows.append(
            (
                status.fold.model,
                str(status.fold.number),
                status.state,
                status.epochs_done,
                "-" if math.isnan(seconds) else f"{seconds:.1f}",
                "-" if math.isnan(minutes) else _duration(round(minutes)),
                "-" if math.isnan(status.pseudo_dice) else f"{status.pseudo_dice:.4f}",
                status.node or "-",
                status.error if status.state == "failed" else "",
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (zip(row, widths, strict=True) for row in rows)
    return "\n".join("  ".join(cell.ljust(width) for cell, width in line).rstrip() for line in lines)


def _duration(minutes: int) -> str:
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"


def _epochs(folder: Path) -> int | None:
    """The number of epochs by nnU-Net's file of its trainer's settings, which are text."""
    try:
        return int(read_json(folder / "debug.json", "debug.json", keys=["num_epochs"])["num_epochs"])
    except (OSError, ValueError, TypeError):
        return None
