"""A chart for each structure and number: a row for each model, with a point for each case and a box."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from nnunet_eas.reporting import svg
from nnunet_eas.reporting.columns import Column
from nnunet_eas.reporting.marks import model_mark

_WIDTH, _LEFT, _RIGHT, _TOP, _ROW, _BOTTOM = 420, 16, 16, 26, 62, 38
_GOLDEN = 0.618034
"""Step in which points are spread, the golden section: as even as random ones, and always the same."""


def distribution(structure: str, column: Column, values: Mapping[str, Sequence[tuple[str, float]]]) -> str:
    """The chart.

    Args:
        structure: Its name.
        column: The number.
        values: By model, the cases with their numbers, without undefined ones.
    """
    numbers = [column.shown(value) for of_model in values.values() for _, value in of_model]
    low, high = svg.limits(numbers, floor=column.floor, ceiling=column.ceiling)
    bottom = _TOP + _ROW * len(values)
    x = svg.Scale(low, high, _LEFT, _WIDTH - _RIGHT)
    content = [
        svg.text(_LEFT, 16, structure, anchor="start", kind="title"),
        svg.horizontal_axis(x, bottom, _TOP, column.head, svg.ticks(low, high)),
    ]
    medians = []
    for index, (model, of_model) in enumerate(values.items()):
        row = _TOP + index * _ROW
        content.append(svg.text(_LEFT, row + 14, f"{model} ({len(of_model)})", anchor="start"))
        if not of_model:
            medians.append(f"{model} has no value")
            continue
        points = [(case, column.shown(value)) for case, value in of_model]
        content.append(_box([value for _, value in points], x, row + 38))
        content.append(_points(points, x, row + 38, index, column))
        medians.append(f"{model} {column.text(float(np.median([value for _, value in of_model])))}")
    description = f"{column.head} of {structure}, a point per case; medians: {', '.join(medians)}"
    return svg.chart(_WIDTH, bottom + _BOTTOM, description, "".join(content))


def _box(values: Sequence[float], x: svg.Scale, y: float) -> str:
    """A box between the quartiles, a line at the median, whiskers to the last point within 1.5 box lengths."""
    low, median, high = np.percentile(values, (25, 50, 75))
    reach = 1.5 * (high - low)
    inside = [value for value in values if low - reach <= value <= high + reach]
    ends = min(low, *inside), max(high, *inside)  # a quartile between two points can lie beyond both
    whiskers = f"M{x(ends[0]):.1f} {y - 6:g}v12m0-6H{x(low):.1f}M{x(high):.1f} {y:g}H{x(ends[1]):.1f}m0-6v12"
    return (
        f'<rect class="box" x="{x(low):.1f}" y="{y - 14:g}" width="{x(high) - x(low):.1f}" height="28"/>'
        f'<path class="whiskers" d="{whiskers}"/><path class="median" d="M{x(median):.1f} {y - 14:g}v28"/>'
    )


def _points(points: Sequence[tuple[str, float]], x: svg.Scale, y: float, index: int, column: Column) -> str:
    colour, _, marker = model_mark(index)
    marks = []
    for place, (case, value) in enumerate(points):
        spread = 18 * (math.fmod(place * _GOLDEN, 1) - 0.5)
        tip = escape(f"{case}: {value:.{column.digits}f}")
        marks.append(
            f'<path transform="translate({x(value):.1f} {y + spread:.1f})" d="{marker}"><title>{tip}</title></path>'
        )
    return f'<g class="points" fill="{colour}">{"".join(marks)}</g>'
