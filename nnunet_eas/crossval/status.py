"""How far the folds are, read from what nnU-Net and crossval leave beside them."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nnunet_eas.crossval.fold import TRAINABLE, Fold
from nnunet_eas.crossval.record import read_record
from nnunet_eas.reporting.training_log import Curve, read_curve

RECENT = 10
"""Epochs by whose time the rest is estimated."""


@dataclass(frozen=True)
class Status:
    """Of a fold.

    Attributes:
        fold: Which one.
        state: "trained", "running", "validating", "failed", "cut" or "waiting".
        curve: Its epochs, from the logs.
        epochs: How many there will be; None before the training has said so.
        node: Where it runs, or ran.
        error: What its last attempt ended with.
    """

    fold: Fold
    state: str
    curve: Curve
    epochs: int | None
    node: str
    error: str

    @property
    def epoch_seconds(self) -> float:
        """Median of the last epochs; NaN before the first has ended."""
        seconds = sorted(e.seconds for e in list(self.curve.values())[-RECENT:] if not math.isnan(e.seconds))
        return seconds[len(seconds) // 2] if seconds else math.nan

    @property
    def seconds_left(self) -> float:
        """Of the epochs, without the validation behind them; NaN where it can't be known."""
        if self.state != "running" or self.epochs is None:
            return math.nan
        return (self.epochs - len(self.curve)) * self.epoch_seconds

    @property
    def pseudo_dice(self) -> float:
        """Of the last epoch."""
        return list(self.curve.values())[-1].pseudo_dice if self.curve else math.nan


def status_of(fold: Fold) -> Status:
    """Reads it; nothing needs to be there."""
    record = read_record(fold.folder)
    curve = read_curve(fold.folder)
    final = (fold.folder / "checkpoint_final.pth").is_file()
    begun = final or any((fold.folder / f"checkpoint_{which}.pth").is_file() for which in TRAINABLE)
    if fold.is_trained():
        state = "trained"
    elif fold.is_in_use():
        state = "validating" if final else "running"
    elif record is not None and record.error:
        state = "failed"
    else:
        state = "cut" if begun or record is not None else "waiting"
    return Status(
        fold, state, curve, _epochs(fold.folder), record.node if record else "", record.error if record else ""
    )


def models_of(dataset: Path) -> list[tuple[str, str, str]]:
    """Trainer, plans and configuration of the models that have begun, from their folders' names."""
    found = [tuple(path.name.split("__")) for path in sorted(dataset.glob("*__*__*")) if path.is_dir()]
    return [(name[0], name[1], name[2]) for name in found if len(name) == 3]


def table(statuses: Sequence[Status]) -> str:
    """A line each."""
    head = ("model", "fold", "state", "epoch", "s/epoch", "left", "pseudo Dice", "node", "last error")
    rows = [head, *(_row(status) for status in statuses)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _row(status: Status) -> tuple[str, ...]:
    done = str(len(status.curve)) if status.curve else "-"
    return (
        status.fold.model,
        str(status.fold.number),
        status.state,
        f"{done}/{status.epochs}" if status.epochs else done,
        _or_dash(status.epoch_seconds, f"{status.epoch_seconds:.1f}"),
        _or_dash(status.seconds_left, _duration(status.seconds_left)),
        _or_dash(status.pseudo_dice, f"{status.pseudo_dice:.4f}"),
        status.node or "-",
        status.error if status.state == "failed" else "",
    )


def _or_dash(value: float, text: str) -> str:
    return "-" if math.isnan(value) else text


def _duration(seconds: float) -> str:
    if math.isnan(seconds):
        return ""
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"


def _epochs(folder: Path) -> int | None:
    """nnU-Net writes its trainer's settings, as text, beside the fold."""
    try:
        return int(json.loads((folder / "debug.json").read_text(encoding="utf-8"))["num_epochs"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
