"""One case on the page: scan, truth and every model side by side, with a slider through the slices."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from nnunet_eas.reporting.columns import COLUMNS
from nnunet_eas.reporting.marks import structure_mark
from nnunet_eas.reporting.pictures import Pictures
from nnunet_eas.reporting.view import MARGIN

_DICE = COLUMNS[0]


def case_viewer(
    pictures: Pictures, role: str, score: float, dice: Mapping[str, Mapping[str, float | None]], number: int
) -> str:
    """The section of one case.

    Args:
        pictures: Its pictures.
        role: Best, median or worst.
        score: The score by which it has this role.
        dice: By model and structure.
        number: The case's number on the page, for the elements' ids.
    """
    start = pictures.slices[pictures.start]
    where = f"{pictures.case}, slice {start.number}"
    structures = list(next(iter(dice.values())))
    panels = [_panel("Scan", f"Scan of {where}", pictures, None, structures, "")]
    panels.append(_panel("Truth", f"Scan of {where}, with the truth's outlines", pictures, 0, structures, ""))
    for index, (model, of_structures) in enumerate(dice.items(), 1):
        alt = f"Scan of {where}, with the outlines that {model} predicted"
        panels.append(_panel(model, alt, pictures, index, structures, _scores(of_structures)))
    fault = f'<p class="fault">Without its scan: {escape(pictures.fault)}</p>' if pictures.fault else ""
    content = {
        "total": pictures.total,
        "slices": [{"number": s.number, "image": s.image, "paths": s.paths} for s in pictures.slices],
    }
    return (
        f'<section class="case" aria-labelledby="case-{number}"><h3 id="case-{number}">{role.capitalize()}: '
        f"{escape(pictures.case)} <small>score {_DICE.text(score)} %</small></h3>{fault}"
        f'<p class="slices">{_caption(pictures)}</p>{_slider(pictures)}<div class="panels">{"".join(panels)}</div>'
        f'<script type="application/json">{embedded_json(content)}</script></section>'
    )


def structure_legend(structures: Sequence[str]) -> str:
    """Every structure's name beside its line, on the grey of the pictures."""
    entries = []
    for index, structure in enumerate(structures):
        colour, dashes = structure_mark(index)
        entries.append(
            f'<li><svg width="46" height="14" viewBox="-23 -7 46 14" aria-hidden="true"><path class="ground" '
            f'd="M-23-7h46v14h-46z"/><path class="outline" d="M-19 0h38" stroke="{colour}" '
            f'stroke-dasharray="{dashes or "none"}"/></svg> {escape(structure)}</li>'
        )
    return f'<ul class="legend">{"".join(entries)}</ul>'


def _panel(title: str, alt: str, pictures: Pictures, mask: int | None, structures: Sequence[str], caption: str) -> str:
    rows, columns = pictures.shape
    height, width = pictures.view.spacing
    start = pictures.slices[pictures.start]
    href = f' href="{start.image}"' if start.image else ""
    outlines = ""
    if mask is not None:
        outlines = "".join(
            f'<path class="outline" d="{start.paths[mask][index]}" stroke="{colour}" '
            f'stroke-dasharray="{dashes or "none"}"/>'
            for index in range(len(structures))
            for colour, dashes in [structure_mark(index)]
        )
    # paths in voxels, scaled to millimetres, because whole numbers make them short
    return (
        f'<figure><figcaption>{escape(title)}</figcaption><svg class="picture" role="img" aria-label="{escape(alt)}" '
        f'viewBox="0 0 {columns * width:.6g} {rows * height:.6g}"><g transform="scale({width:.6g} {height:.6g})">'
        f'<rect width="{columns}" height="{rows}" class="ground"/><image{href} width="{columns}" height="{rows}" '
        f'preserveAspectRatio="none"/>{outlines}</g></svg><p class="scores">{caption}</p></figure>'
    )


def _scores(dice: Mapping[str, float | None]) -> str:
    defined = [value for value in dice.values() if value is not None]
    mean = f"Dice {_DICE.text(sum(defined) / len(defined))} %" if defined else "Dice undefined"
    if len(dice) < 2:
        return mean
    return f"{mean}: {', '.join(f'{escape(name)} {_DICE.text(value)}' for name, value in dice.items())}"


def _caption(pictures: Pictures) -> str:
    plane = pictures.view.caption
    if pictures.total == 1:
        return f"One slice, {plane}."
    shown = len(pictures.slices)
    text = f"{pictures.total} slices, {plane}; {pictures.filled} of them with foreground"
    if shown < pictures.filled:
        return f"{text}. {shown} are shown, evenly spaced."
    return f"{text}. {shown} are shown: these, and up to {MARGIN} more at either end."


def _slider(pictures: Pictures) -> str:
    if len(pictures.slices) < 2:
        return ""
    number = pictures.slices[pictures.start].number
    return (
        f'<label class="slider" hidden>Slice <input type="range" min="0" max="{len(pictures.slices) - 1}" '
        f'value="{pictures.start}" autocomplete="off"> <output>{number} of {pictures.total}</output></label>'
        f'<p class="static">Slice {number} of {pictures.total}, which has most foreground.</p>'
    )


def embedded_json(content: Any) -> str:
    """JSON that can't end the script element around it."""
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
