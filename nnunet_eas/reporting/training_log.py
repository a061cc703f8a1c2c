"""Training curves from nnU-Net's training_log_*.txt, which is text; checkpoints would have to be unpickled."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path

_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*(?:e[-+]?\d+)?|nan|inf)")
_EPOCH = re.compile(r": Epoch (\d+)\s*$")


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
    for log in sorted(fold.glob("training_log_*.txt"), key=_date):
        with log.open(encoding="utf-8", errors="replace") as lines:
            _add(curve, lines)
    return curve


def mean_curve(curves: Sequence[Curve]) -> Curve:
    """The mean over the folds for the epochs that all of them have; more epochs would jump where a fold ends."""
    if not curves:
        return {}
    common = sorted(set.intersection(*(set(curve) for curve in curves)))
    columns = {epoch: zip(*(astuple(curve[epoch]) for curve in curves), strict=True) for epoch in common}
    return {epoch: Epoch(*(sum(column) / len(curves) for column in columns[epoch])) for epoch in common}


def _date(log: Path) -> list[int]:
    """The date as numbers: nnU-Net writes the 9th as 9, which as text would come after 10."""
    return [int(digits) for digits in re.findall(r"\d+", log.stem)]


def _add(curve: Curve, lines: Iterable[str]) -> None:
    epoch: int | None = None
    losses: dict[str, float] = {}
    for line in lines:
        if match := _EPOCH.search(line):
            epoch, losses = int(match[1]), {}
            for later in [known for known in curve if known >= epoch]:
                del curve[later]
        elif epoch is None:
            continue
        elif match := re.search(r": (train_loss|val_loss) (.*)", line):
            losses[match[1]] = _number(match[2])
        elif ": Pseudo dice " in line and len(losses) == 2:
            dice = [number for number in _numbers(line.split("Pseudo dice", 1)[1]) if not math.isnan(number)]
            curve[epoch] = Epoch(losses["train_loss"], losses["val_loss"], sum(dice) / len(dice) if dice else math.nan)
        elif epoch in curve and (match := re.search(r": Epoch time: (\S+) s", line)):
            curve[epoch] = replace(curve[epoch], seconds=_number(match[1]))


def _numbers(text: str) -> list[float]:
    """NumPy 2 writes np.float32(0.9) where NumPy 1 writes 0.9."""
    return [float(number) for number in _NUMBER.findall(re.sub(r"np\.float\d+", "", text))]


def _number(text: str) -> float:
    return next(iter(_numbers(text)), math.nan)
