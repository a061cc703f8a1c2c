"""The results as text for a terminal: a line per structure, mean and standard deviation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# name, head, factor, digits
_COLUMNS = (
    ("dice", "DSC %", 100, 2),
    ("precision", "precision %", 100, 2),
    ("recall", "recall %", 100, 2),
    ("hd_mm", "HD mm", 1, 2),
    ("hd95_mm", "HD95 mm", 1, 2),
    ("assd_mm", "ASSD mm", 1, 3),
    ("nsd", "NSD %", 100, 2),
)
_FOREGROUND = "mean of the structures"


def table(content: Mapping[str, Any]) -> str:
    """The means with their standard deviations in brackets, and the number of undefined values left out."""
    means, spreads = content["mean"]["labels"], content["standard_deviation"]
    title = f"mean (SD) of {content['cases']} cases"
    width = max(map(len, (title, _FOREGROUND, *means)))
    cells = {label: [_cell(means[label], spreads[label], column) for column in _COLUMNS] for label in means}
    if len(means) > 1:
        cells[_FOREGROUND] = [_cell(content["mean"]["foreground"], {}, column) for column in _COLUMNS]
    rows = {title: [head for _, head, _, _ in _COLUMNS], **cells}
    lines = [f"{label:<{width}}" + "".join(f"  {cell:>14}" for cell in row).rstrip() for label, row in rows.items()]
    lines.append(f"NSD at {content['tolerance_mm']:g} mm")
    for label, counts in content["left_out"].items():
        undefined = ", ".join(f"{name} {counts[name]}" for name, _, _, _ in _COLUMNS if counts[name])
        if undefined:
            lines.append(f"{label}: cases without a value, left out of the mean: {undefined}")
    return "\n".join(lines)


def _cell(mean: Mapping[str, Any], spread: Mapping[str, Any], column: tuple[str, str, int, int]) -> str:
    name, _, factor, digits = column
    if mean[name] is None:
        return "-"
    text = f"{mean[name] * factor:.{digits}f}"
    return text if spread.get(name) is None else f"{text} ({spread[name] * factor:.{digits}f})"
