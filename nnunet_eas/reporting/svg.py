"""The parts of a hand-written SVG chart; those of a plotting library are ten times as large."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape


@dataclass(frozen=True)
class Scale:
    """A linear scale: the numbers from `low` to `high` lie at the pixels from `start` to `stop`."""

    low: float
    high: float
    start: float
    stop: float

    def __call__(self, value: float) -> float:
        """The pixel of a number."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.stop - self.start)


def limits(values: Iterable[float], *, floor: float = -math.inf, ceiling: float = math.inf) -> tuple[float, float]:
    """A range around all finite values with a margin, within floor and ceiling; 0 to 1 where there is none."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return 0.0, 1.0
    low, high = min(finite), max(finite)
    air = 0.06 * (high - low) or 0.05 * abs(high) or 0.05
    return max(low - air, floor), min(high + air, ceiling)


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers within a range, roughly `about` of them."""
    rough = (high - low) / about
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * size for factor in (1, 2, 5, 10) if factor * size >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{n * step:.12g}") for n in range(first, last + 1)]


def tick_text(value: float) -> str:
    """A tick's number as text."""
    return f"{value:g}".replace("-", "\u2212")


def polyline(points: Iterable[tuple[float, float]], attributes: str) -> str:
    """A line through all finite points."""
    finite = [f"{x:.1f},{y:.1f}" for x, y in points if math.isfinite(x) and math.isfinite(y)]
    return f'<polyline points="{" ".join(finite)}" {attributes}/>' if finite else ""


def text(x: float, y: float, content: str, *, anchor: str = "middle", kind: str = "") -> str:
    """Escaped text."""
    css = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{css}>{escape(content)}</text>'


def horizontal_axis(scale: Scale, y: float, top: float, label: str, numbers: Sequence[float]) -> str:
    """Grid lines from `top` to `y`, with numbers and a label below."""
    marks = "".join(f"M{scale(n):.1f} {top:.1f}V{y:.1f}" for n in numbers)
    below = "".join(text(scale(n), y + 15, tick_text(n)) for n in numbers)
    return f'<path class="grid" d="{marks}"/>{below}{text((scale.start + scale.stop) / 2, y + 31, label)}'


def vertical_axis(scale: Scale, x: float, right: float, numbers: Sequence[float]) -> str:
    """Grid lines from `x` to `right`, with numbers to their left."""
    marks = "".join(f"M{x:.1f} {scale(n):.1f}H{right:.1f}" for n in numbers)
    beside = "".join(text(x - 6, scale(n) + 4, tick_text(n), anchor="end") for n in numbers)
    return f'<path class="grid" d="{marks}"/>{beside}'


def chart(width: float, height: float, description: str, content: str) -> str:
    """The whole chart, with a description for screen readers."""
    return (
        f'<svg class="chart" viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}" role="img" '
        f'aria-label="{escape(description)}">{content}</svg>'
    )
