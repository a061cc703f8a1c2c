"""Training curves from nnU-Net's training_log_*.txt, which is text; checkpoints would have to be unpickled."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path

_LINE = re.compile(r": (Epoch(?= \d+\s*$)|train_loss|val_loss|Pseudo dice|Epoch time:(?= \S+ s)) (.*)", re.MULTILINE)
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*(?:e[-+]?\d+)?|nan|inf)")


@dataclass(frozen=True)
class Epoch:
    """The numbers that nnU-Net logs of an epoch."""

    train_loss: float  # mean over its iterations
    val_loss: float  # mean over its validation iterations
    pseudo_dice: float  # mean over the structures of the Dice of random validation patches
    seconds: float = math.nan  # its duration; NaN where the log ends before


Curve = dict[int, Epoch]
"""Epochs by their numbers, from 0, in rising order."""


def read_curve(fold: Path) -> Curve:
    """The finished epochs of a fold; empty where it has no log with an epoch.

    A training that was interrupted and resumed has several logs. From the first epoch of a later log on, the earlier
    logs do not count: the training went back to a checkpoint from before that epoch.
    """
    curve: Curve = {}
    # by the date's numbers: nnU-Net writes the 9th as 9, which as text would come after 10
    for log in sorted(fold.glob("training_log_*.txt"), key=lambda log: [*map(int, re.findall(r"\d+", log.stem))]):
        epoch: int | None = None
        losses: dict[str, float] = {}
        for what, text in _LINE.findall(log.read_text(encoding="utf-8", errors="replace")):
            # NumPy 2 writes np.float32(0.9) where NumPy 1 writes 0.9
            numbers = [float(number) for number in _NUMBER.findall(re.sub(r"np\.float\d+", "", text))]
            if what == "Epoch":
                epoch, losses = int(text), {}
                curve = {known: of_one for known, of_one in curve.items() if known < epoch}
            elif epoch is None:
                continue
            elif what == "Pseudo dice" and len(losses) == 2:
                dice = [number for number in numbers if not math.isnan(number)]
                curve[epoch] = Epoch(**losses, pseudo_dice=sum(dice) / len(dice) if dice else math.nan)
            elif what.endswith("loss"):
                losses[what] = numbers[0] if numbers else math.nan
            elif what == "Epoch time:" and epoch in curve:
                curve[epoch] = replace(curve[epoch], seconds=numbers[0] if numbers else math.nan)
    return curve


def mean_curve(curves: Sequence[Curve]) -> Curve:
    """The mean over the folds for the epochs that all of them have; more epochs would jump where a fold ends."""
    common = sorted(set.intersection(*map(set, curves))) if curves else []
    columns = {epoch: zip(*(astuple(curve[epoch]) for curve in curves), strict=True) for epoch in common}
    return {epoch: Epoch(*(sum(column) / len(curves) for column in columns[epoch])) for epoch in common}
