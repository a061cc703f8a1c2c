"""The content of the charts: marks, axes, boxes and lines in pixels; charts.html draws them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from matplotlib.cbook import boxplot_stats
from matplotlib.ticker import MaxNLocator

from nnunet_eas.reporting.columns import Column
from nnunet_eas.reporting.training_log import Curve, mean_curve

# Okabe and Ito's colours; dashes or markers are always a second cue
_ON_WHITE = ("#0072B2", "#D55E00", "#009E73", "#000000", "#CC79A7")
_ON_GREY = ("#E69F00", "#56B4E9", "#F0E442", "#CC79A7", "#009E73", "#D55E00")
_DASHES = ("none", "7 3", "2 2", "8 2 2 2")

# around (0, 0), of about the same area
_MARKERS = (
    "M-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0z",
    "M-2.7-2.7h5.4v5.4h-5.4z",
    "M0-3.7l3.5 6.4h-7z",
    "M0-3.9l3.3 3.9l-3.3 3.9l-3.3-3.9z",
    "M-3-1h2v-2h2v2h2v2h-2v2h-2v-2h-2z",
)


def model_mark(index: int) -> tuple[str, str, str]:
    """The colour, the line's dashes and the marker's path of a model, by its place."""
    return *_mark(index, _ON_WHITE), _MARKERS[index % len(_MARKERS)]


def structure_mark(index: int) -> tuple[str, str]:
    """The colour and the outline's dashes of a structure, by its place."""
    return _mark(index, _ON_GREY)


def _mark(index: int, colours: Sequence[str]) -> tuple[str, str]:
    turn, place = divmod(index, len(colours))
    return colours[place], _DASHES[(index + turn) % len(_DASHES)]


@dataclass(frozen=True)
class Axis:
    """A linear scale: the numbers from `low` to `high` lie at the pixels from `start` to `stop`."""

    low: float
    high: float
    start: float
    stop: float

    def __call__(self, value: float) -> float:
        """The pixel of a number."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.stop - self.start)

    def ticks(self, most: int = 5) -> list[float]:
        """Round numbers within the range."""
        numbers = MaxNLocator(most, steps=[1, 2, 5, 10]).tick_values(self.low, self.high)
        return [float(number) for number in numbers if self.low <= number <= self.high]


def limits(values: Iterable[float], *, floor: float = -math.inf, ceiling: float = math.inf) -> tuple[float, float]:
    """A range around all finite values with a margin, within floor and ceiling; 0 to 1 where there is none."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return 0.0, 1.0
    low, high = min(finite), max(finite)
    air = 0.06 * (high - low) or 0.05 * abs(high) or 0.05
    return max(low - air, floor), min(high + air, ceiling)


def number_text(value: float) -> str:
    """A number on an axis."""
    return f"{value:g}".replace("-", "\u2212")


def distribution(column: Column, values: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """The axis of a chart with a row for each model, and the models' boxes.

    Args:
        column: The number.
        values: By model and case, without undefined ones.
    """
    shown = {model: [value * column.factor for value in of_model.values()] for model, of_model in values.items()}
    low, high = limits(chain.from_iterable(shown.values()), floor=column.floor, ceiling=column.ceiling)
    # quartiles, and whiskers to the last point within 1.5 box lengths
    boxes = {model: boxplot_stats(numbers)[0] for model, numbers in shown.items() if numbers}
    return {"x": Axis(low, high, 16, 404), "boxes": boxes}


def training(curves: Mapping[str, Mapping[str, Curve]]) -> list[dict[str, Any]]:
    """The axes and lines of the training charts, with the last values in words; no chart without a log.

    Args:
        curves: By model and fold; empty without a log.
    """
    found = {model: [curve for curve in of_folds.values() if curve] for model, of_folds in curves.items()}
    epochs = [epoch for of_model in found.values() for curve in of_model for epoch in curve.values()]
    if not epochs:
        return []
    # one scale for both losses shows a gap between them
    losses = limits(loss for epoch in epochs for loss in (epoch.train_loss, epoch.val_loss))
    pseudo_dice = limits((epoch.pseudo_dice for epoch in epochs), floor=0, ceiling=1)
    last = max(2, *(max(curve) + 1 for of_model in found.values() for curve in of_model))
    x = Axis(1, last, 52, 408)
    ticks = [1, *(tick for tick in x.ticks() if tick > 1 + 0.1 * last and tick.is_integer())]
    charts = []
    for key, title, (low, high) in (
        ("train_loss", "Training loss", losses),
        ("val_loss", "Validation loss", losses),
        ("pseudo_dice", "Pseudo Dice, mean of the structures", pseudo_dice),
    ):
        y, lines, ends = Axis(low, high, 258, 30), [], []
        for model, of_model in found.items():
            mean = mean_curve(of_model)
            folds = [("fold", curve) for curve in of_model] if len(of_model) > 1 else []
            for kind, curve in [*folds, ("mean", mean)]:
                values = {epoch + 1: getattr(numbers, key) for epoch, numbers in curve.items()}
                points = [f"{x(epoch):.1f},{y(value):.1f}" for epoch, value in values.items() if math.isfinite(value)]
                if points:
                    lines.append((model, kind, " ".join(points)))
            if mean:
                end = number_text(round(getattr(mean[max(mean)], key), 3))
                ends.append(f"{model} ends at {end} in epoch {max(mean) + 1}")
        charts.append({"title": title, "x": x, "y": y, "epochs": ticks, "lines": lines, "ends": "; ".join(ends)})
    return charts
