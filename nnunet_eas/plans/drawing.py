"""The EAS U-Net of a plan as an architecture figure: what figure 5 is in the paper, for any plan."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle
from matplotlib.path import Path as Polyline

from nnunet_eas.plans.network_description import Description, EASModuleFacts, describe_network

# Okabe and Ito's palette: also colour-blind people can tell these apart.
COLOURS = {"encoder": "#0072B2", "decoder": "#009E73", "EAS module": "#E69F00", "head": "#CC79A7", "output": "#D55E00"}
HATCHES = {"separable": "", "full": "/////"}  # block kinds differ by more than a colour

DPI = 200
FONT_SIZE = 9
CHARACTER = 0.08  # inches; generous for a mean character of this font, bold ones included
LINE = 0.165
MARGIN = 0.3
BOX = 0.95  # height of a stage
SMALL_BOX = 0.62  # height of a head, the input and the prediction
GAP = 0.5  # between stages, for an arrow and two lines beside it
BRANCH_PITCH = 0.54


def draw_network(
    architecture: Mapping[str, Any],
    *,
    patch_size: Sequence[int],
    input_channels: int,
    num_outputs: int,
    title: str,
    path: Path,
) -> None:
    """Draws the EAS U-Net of a plan: stages, EAS module, heads and output fusion with their sizes.

    Args:
        architecture: As a plan records it: network_class_name, arch_kwargs, _kw_requires_import.
        patch_size: In voxels, one entry per axis.
        input_channels: Channels of the image.
        num_outputs: Channels of the prediction.
        title: Above the figure.
        path: PNG file to write; replaced where it exists.

    Raises:
        FileNotFoundError: `path`'s folder does not exist.
        ValueError: The architecture is no EAS U-Net, or one that does not fit the patch.
    """
    if not path.parent.is_dir():
        raise FileNotFoundError(f"path must lie in an existing folder, got {path}. Create {path.parent} first.")
    described = describe_network(
        architecture, patch_size=patch_size, input_channels=input_channels, num_outputs=num_outputs
    )
    figure = network_figure(described, title=title)
    partial = path.with_name(path.name + ".partial")
    try:
        # without the version in it, the same plan gives the same file
        figure.savefig(partial, format="png", dpi=DPI, metadata={"Software": None})
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


class _Sheet:
    """A white figure measured in inches from its upper left corner."""

    def __init__(self, width: float, height: float) -> None:
        self.figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
        FigureCanvasAgg(self.figure)
        self.axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set(xlim=(0, width), ylim=(height, 0))
        self.axes.set_axis_off()

    def text(self, x: float, y: float, text: str, ha: str = "center", bold: bool = False, rotation: int = 0) -> None:
        style: dict[str, Any] = {"fontsize": FONT_SIZE, "fontfamily": "DejaVu Sans", "linespacing": 1.15}
        style |= {"ha": ha, "va": "center", "fontweight": "bold" if bold else "normal", "rotation": rotation}
        self.axes.text(x, y, text, parse_math=False, **style)  # a title may hold dollar signs

    def box(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        lines: Sequence[str] = (),
        colour: str = "black",
        **style: Any,
    ) -> None:
        """A box around (x, y); its lines stand in the middle, the first in bold where there are more."""
        style = {"edgecolor": colour, "facecolor": to_rgba(colour, 0.15), "linewidth": 1.2, "zorder": 2, **style}
        self.axes.add_patch(Rectangle((x - width / 2, y - height / 2), width, height, gid="box", **style))
        for i, line in enumerate(lines):
            self.text(x, y + (i - (len(lines) - 1) / 2) * LINE, line, bold=len(lines) > 1 and i == 0)

    def blocks(self, x: float, y: float, kinds: Sequence[str]) -> None:
        """One square per block, hatched by its kind, in a row around (x, y)."""
        pitch = min(0.17, 1.1 / len(kinds))
        for i, kind in enumerate(kinds):
            left = x + (i - len(kinds) / 2) * pitch + 0.1 * pitch
            style: dict[str, Any] = {"facecolor": "white", "edgecolor": "black", "linewidth": 0.7, "zorder": 3}
            self.axes.add_patch(
                Rectangle((left, y - 0.065), 0.8 * pitch, 0.13, hatch=HATCHES[kind], gid=f"{kind} block", **style)
            )

    def arrow(self, *points: tuple[float, float], gid: str = "arrow", **line: Any) -> None:
        line = {"color": "black", "linewidth": 1, "mutation_scale": 8, "joinstyle": "miter", "zorder": 1, **line}
        self.axes.add_patch(FancyArrowPatch(path=Polyline(points), arrowstyle="-|>", gid=gid, **line))


class _Layout(NamedTuple):
    """Where columns and rows have their middle, and how wide boxes are; inches."""

    box: float
    branch: float
    head: float
    output: float
    encoder: float
    module: float  # its left edge
    decoder: float
    heads: float
    outputs: float
    top: float  # input and prediction
    rows: list[float]
    legend: float  # its first line

    @property
    def width(self) -> float:
        return max(self.heads + self.head / 2, self.outputs + self.output / 2) + MARGIN


def network_figure(described: Description, *, title: str) -> Figure:
    """The figure of a described network; its size goes by the number of stages."""
    at = _lay_out(described)
    titles = textwrap.wrap(title, int((at.width - 2 * MARGIN) / CHARACTER))
    legend = {k: textwrap.wrap(v, int((at.width - 2 * MARGIN - 0.3) / CHARACTER)) for k, v in described.legend.items()}
    above = MARGIN + (len(titles) + 1) * LINE
    at = at._replace(top=at.top + above, rows=[y + above for y in at.rows], legend=at.legend + above)
    sheet = _Sheet(at.width, at.legend + sum((len(lines) + 0.5) * LINE for lines in legend.values()) + MARGIN / 2)
    for i, line in enumerate(titles):
        sheet.text(at.width / 2, MARGIN + i * LINE, line, bold=True)
    _draw_stages(sheet, described, at)
    if described.eas_module:
        _draw_eas_module(sheet, described.eas_module, at)
    _draw_outputs(sheet, described, at)
    y = at.legend
    for kind, lines in legend.items():
        sheet.blocks(MARGIN + 0.1, y, [kind])
        for i, line in enumerate(lines):
            sheet.text(MARGIN + 0.3, y + i * LINE, line, ha="left")
        y += (len(lines) + 0.5) * LINE
    return sheet.figure


def _lay_out(described: Description) -> _Layout:
    module, stages = described.eas_module, [*described.encoder, *described.decoder]
    box = _width(1.3, [line for stage in stages for line in stage.lines] + described.input)
    branch = _width(1.75, [line for lines in (module.dilated if module else ()) for line in lines])
    head = _width(1.1, described.head)
    output = _width(1.3, (described.fusion or []) + described.prediction)
    left = MARGIN + box + 0.35
    pyramid = branch + (2.35 if module.pooled_behind_norm else 2.1) if module else 0
    decoder = left + pyramid if module else MARGIN + 1.5 * box + 2
    heads = decoder + box / 2 + 0.35 + head / 2
    outputs = heads + head / 2 + 0.35 + output / 2 if described.fusion else heads

    top = SMALL_BOX / 2
    rows = [top + SMALL_BOX / 2 + GAP + BOX / 2 + s * (BOX + GAP) for s in range(len(described.decoder))]
    half_pyramid = (len(module.dilated) + 2) * BRANCH_PITCH / 2 if module else 0
    bottleneck = rows[-1] + BOX / 2 + GAP + max(BOX / 2, half_pyramid + 0.3)
    bottom = bottleneck + max(BOX / 2, half_pyramid)
    encoder = MARGIN + box / 2
    return _Layout(
        box, branch, head, output, encoder, left, decoder, heads, outputs, top, [*rows, bottleneck], bottom + 0.4
    )


def _width(least: float, lines: Sequence[str]) -> float:
    return max([least, *(len(line) * CHARACTER + 0.15 for line in lines)])


def _draw_stages(sheet: _Sheet, described: Description, at: _Layout) -> None:
    for name, x, stages in (("encoder", at.encoder, described.encoder), ("decoder", at.decoder, described.decoder)):
        sheet.text(x - at.box / 2, at.rows[0] - BOX / 2 - 0.12, name, ha="left", bold=True)
        for y, stage in zip(at.rows, stages):
            sheet.box(x, y, at.box, BOX, colour=COLOURS[name])
            for i, line in enumerate(stage.lines):
                sheet.text(x, y - 0.32 + i * LINE, line, bold=i == 0)
            sheet.blocks(x, y + 0.3, stage.blocks)

    sheet.box(at.encoder, at.top, at.box, SMALL_BOX, described.input)
    sheet.arrow((at.encoder, at.top + SMALL_BOX / 2), (at.encoder, at.rows[0] - BOX / 2))
    sheet.text(at.encoder + 0.1, at.rows[0] - BOX / 2 - GAP / 2, f"first block:\n{described.first_block}", ha="left")
    for s, (y, below) in enumerate(zip(at.rows, at.rows[1:])):
        edge, label = y + BOX / 2, y + BOX / 2 + GAP / 2
        sheet.arrow((at.encoder, edge), (at.encoder, below - BOX / 2), gid="down")
        sheet.text(at.encoder + 0.1, label, described.down[s], ha="left")
        sheet.text(at.decoder - 0.1, label, described.up[s], ha="right")
        sheet.arrow((at.encoder + at.box / 2, y), (at.decoder - at.box / 2, y), gid="skip", linestyle="--")
        sheet.text((at.encoder + at.decoder) / 2, y - 0.1, "concatenate")
        if s + 1 < len(described.decoder):
            sheet.arrow((at.decoder, below - BOX / 2), (at.decoder, edge), gid="up")
    if not described.eas_module:
        y = at.rows[-1]
        up = (at.decoder, at.rows[-2] + BOX / 2)
        sheet.arrow((at.encoder + at.box / 2, y), (at.decoder, y), up, gid="up")


def _draw_eas_module(sheet: _Sheet, module: EASModuleFacts, at: _Layout) -> None:
    y, colour, n = at.rows[-1], COLOURS["EAS module"], len(module.dilated) + 2
    ys = [y + (i - (n - 1) / 2) * BRANCH_PITCH for i in range(n)]
    fan, left, right = at.module + 0.2, at.module + 0.4, at.module + 0.4 + at.branch
    narrow, wide, height = 0.28 * (at.branch - 0.2), 0.72 * (at.branch - 0.2), 0.42
    bar, project, add = right + 0.3, right + 0.95, right + 1.42
    top, bottom = ys[0] - BRANCH_PITCH / 2 - 0.27, ys[-1] + height / 2 + 0.12
    end = at.decoder - 0.3
    sheet.box((at.module + end) / 2, (top + bottom) / 2, end - at.module, bottom - top, colour=colour, facecolor="none")
    sheet.text(at.module + 0.1, top + 0.16, module.title, ha="left", bold=True)

    for i, branch in enumerate([["ECA"], *module.dilated, ["global average\npooling"]]):
        sheet.arrow((at.encoder + at.box / 2, y), (fan, y), (fan, ys[i]), (left, ys[i]))
        if 0 < i < n - 1:
            sheet.box((left + right) / 2, ys[i], at.branch, height, branch, colour)
        else:
            sheet.box(left + wide / 2, ys[i], wide, height, branch, colour)
            sheet.arrow((left + wide, ys[i]), (right - narrow, ys[i]))
            sheet.box(right - narrow / 2, ys[i], narrow, height, ["1x1"], colour)
        is_joined = i < n - 1 or not module.pooled_behind_norm
        sheet.arrow((right, ys[i]), (bar - 0.14 if is_joined else project - 0.25, ys[i]))

    joined = ys[:-1] if module.pooled_behind_norm else ys
    sheet.box(bar, (joined[0] + joined[-1]) / 2, 0.28, joined[-1] - joined[0] + height, colour=colour)
    sheet.text(bar, (joined[0] + joined[-1]) / 2, "concatenate", rotation=90)
    sheet.arrow((bar + 0.14, y), (project - 0.25, y))
    sheet.box(project, y, 0.5, height, ["1x1\nnorm" if module.pooled_behind_norm else "1x1"], colour)
    up = (at.decoder, at.rows[-2] + BOX / 2)
    if module.pooled_behind_norm:
        sheet.box(project, ys[-1], 0.5, height, ["1x1"], colour)
        sheet.arrow((project + 0.25, ys[-1]), (add, ys[-1]), (add, y + 0.1))
        sheet.arrow((project + 0.25, y), (add - 0.1, y))
        sheet.box(add, y, 0.2, 0.2, ["+"], colour)
        sheet.arrow((add + 0.1, y), (at.decoder, y), up, gid="up")
    else:
        sheet.arrow((project + 0.25, y), (at.decoder, y), up, gid="up")


def _draw_outputs(sheet: _Sheet, described: Description, at: _Layout) -> None:
    fused, y0 = described.fusion is not None, at.rows[0]
    sheet.text(at.heads - at.head / 2, y0 - SMALL_BOX / 2 - 0.12, "heads", ha="left", bold=True)
    for s, y in enumerate(at.rows[:-1]):
        sheet.arrow((at.decoder + at.box / 2, y), (at.heads - at.head / 2, y))
        sheet.box(at.heads, y, at.head, SMALL_BOX, described.head, COLOURS["head"])
        if s > 0:
            sheet.box(at.heads, y, at.head - 0.08, SMALL_BOX - 0.08, colour=COLOURS["head"], facecolor="none")
            sheet.text(at.heads, y + SMALL_BOX / 2 + 0.12, "deep supervision")
        right = (at.heads + at.head / 2, y)
        if fused and s == 0:
            sheet.arrow(right, (at.outputs - at.output / 2, y), gid="fused")
        elif fused:
            sheet.arrow(right, (at.outputs, y), (at.outputs, y0 + BOX / 2), gid="fused")
    if described.fusion:
        sheet.box(at.outputs, y0, at.output, BOX, described.fusion, COLOURS["output"])
    source = y0 - (BOX if fused else SMALL_BOX) / 2
    sheet.arrow((at.outputs, source), (at.outputs, at.top + SMALL_BOX / 2))
    sheet.box(at.outputs, at.top, at.output, SMALL_BOX, described.prediction, COLOURS["output"])
