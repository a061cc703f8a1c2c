"""Training curves as three charts: both losses on one scale, and the pseudo Dice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from nnunet_eas.reporting import svg
from nnunet_eas.reporting.marks import model_mark
from nnunet_eas.reporting.training_log import Curve, mean_curve

_WIDTH, _HEIGHT = 420, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 12, 30, 42
_CHARTS = (
    ("train_loss", "Training loss"),
    ("val_loss", "Validation loss"),
    ("pseudo_dice", "Pseudo Dice, mean of the structures"),
)


def training_charts(curves: Mapping[str, Mapping[str, Curve]]) -> str:
    """The charts; folds without a log are named above them.

    Args:
        curves: By model and fold; empty without a log.
    """
    without = [
        f"<li>{escape(model)}: no epoch in a training_log_*.txt of {escape(', '.join(missing))}</li>"
        for model, of_folds in curves.items()
        if (missing := [fold for fold, curve in of_folds.items() if not curve])
    ]
    found = {model: [curve for curve in of_folds.values() if curve] for model, of_folds in curves.items()}
    parts = [f'<ul class="notes">{"".join(without)}</ul>'] if without else []
    if any(found.values()):
        charts = "".join(_chart(column, title, found) for column, title in _CHARTS)
        parts.append(f'<div class="charts">{charts}</div>')
    return "".join(parts)


def _chart(column: str, title: str, models: Mapping[str, Sequence[Curve]]) -> str:
    all_curves = [curve for curves in models.values() for curve in curves]
    if column == "pseudo_dice":
        low, high = svg.limits(_values(all_curves, column), floor=0, ceiling=1)
    else:  # one scale for both losses shows a gap between them
        low, high = svg.limits([*_values(all_curves, "train_loss"), *_values(all_curves, "val_loss")])
    last = max(max(curve) for curve in all_curves) + 1
    x = svg.Scale(1, max(last, 2), _LEFT, _WIDTH - _RIGHT)
    y = svg.Scale(low, high, _HEIGHT - _BOTTOM, _TOP)
    epochs = [1.0, *(n for n in svg.ticks(1, max(last, 2)) if n > 1 + 0.1 * last and n == int(n))]
    content = [
        svg.text(_LEFT, 18, title, anchor="start", kind="title"),
        svg.vertical_axis(y, _LEFT, _WIDTH - _RIGHT, svg.ticks(low, high, about=8)),
        svg.horizontal_axis(x, _HEIGHT - _BOTTOM, _TOP, "epoch", epochs),
    ]
    ends = []
    for index, (model, curves) in enumerate(models.items()):
        colour, dashes, _ = model_mark(index)
        mean = mean_curve(curves)
        lines = [(curve, "fold") for curve in curves] if len(curves) > 1 else []
        for curve, kind in [*lines, (mean, "mean")]:
            points = [(x(epoch + 1), y(getattr(numbers, column))) for epoch, numbers in curve.items()]
            dashed = f' stroke-dasharray="{dashes}"' if dashes and kind == "mean" else ""
            content.append(svg.polyline(points, f'class="{kind}" stroke="{colour}"{dashed}'))
        if mean:
            final = max(mean)
            ends.append(f"{model} ends at {svg.tick_text(round(getattr(mean[final], column), 3))} in epoch {final + 1}")
    return svg.chart(_WIDTH, _HEIGHT, f"{title} per epoch: {'; '.join(ends)}", "".join(content))


def _values(curves: Sequence[Curve], column: str) -> list[float]:
    return [getattr(epoch, column) for curve in curves for epoch in curve.values()]


def model_legend(models: Sequence[str]) -> str:
    """Every model's name beside its line and marker."""
    entries = []
    for index, model in enumerate(models):
        colour, dashes, marker = model_mark(index)
        entries.append(
            f'<li><svg width="46" height="14" viewBox="-23 -7 46 14" aria-hidden="true"><path d="M-23 0h46" '
            f'class="mean" stroke="{colour}" stroke-dasharray="{dashes or "none"}"/><path d="{marker}" '
            f'transform="scale(1.4)" fill="{colour}"/></svg> {escape(model)}</li>'
        )
    return f'<ul class="legend">{"".join(entries)}</ul>'
