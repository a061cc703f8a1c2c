"""Architecture figure of the EAS U-Net of any plan, as figure 5 of the paper."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle
from matplotlib.path import Path as Polyline

from nnunet_eas.plans.network_description import Description, EASModuleFacts, describe_network
from nnunet_eas.support.files import replacing

# Okabe and Ito's palette, which people with colour blindness can tell apart
COLOURS = {"encoder": "#0072B2", "decoder": "#009E73", "EAS module": "#E69F00", "head": "#CC79A7", "output": "#D55E00"}
HATCHES = {"separable": "", "residual": "....", "full": "/////"}  # block kinds differ by more than a colour

DPI = 200
FONT = {"fontsize": 9, "fontfamily": "DejaVu Sans", "linespacing": 1.15, "va": "center"}
# inches
CHARACTER = 0.08  # more than the mean width of a character of this font, bold ones included
LINE = 0.165
MARGIN = 0.3
BOX = 0.95  # height of a stage
SMALL_BOX = 0.62  # height of a head, the input and the prediction
GAP = 0.5  # between stages, for an arrow and two lines beside it
BRANCH_PITCH = 0.54


def draw_network(architecture: Mapping[str, Any], *, title: str, path: Path, **sizes: Any) -> None:
    """Draws the EAS U-Net of a plan as a PNG: stages, EAS module, heads and output fusion with their sizes.

    `architecture` and `sizes` are the arguments of `describe_network`. A file at `path` is replaced.
    """
    if not path.parent.is_dir():
        raise FileNotFoundError(f"path must lie in an existing folder, got {path}. Create {path.parent} first.")
    figure = network_figure(describe_network(architecture, **sizes), title=title)
    with replacing(path) as temporary:
        # no software version in the file: the same plan gives the same bytes
        figure.savefig(temporary, format="png", dpi=DPI, metadata={"Software": None})


def network_figure(described: Description, *, title: str) -> Figure:
    """The figure of a described network; its size follows the number of stages."""
    return _Drawing(described, title).figure


class _Drawing:
    """A white figure with its layout, measured in inches from the upper left corner.

    Boxes are placed by their middle: `x_encoder`, `x_decoder`, `x_heads`, `x_outputs` are columns, `rows` the stages
    with full resolution first, `y_top` the row of input and prediction. The EAS module is placed by its left edge.
    """

    def __init__(self, described: Description, title: str) -> None:
        self.described, module = described, described.eas_module
        stages = [*described.encoder, *described.decoder]
        self.stage_width = _width(1.3, [line for stage in stages for line in stage.lines] + described.input)
        self.branch_width = _width(1.75, [line for lines in (module.dilated if module else ()) for line in lines])
        self.head_width = _width(1.1, described.head)
        self.output_width = _width(1.3, (described.fusion or []) + described.prediction)

        self.x_encoder = MARGIN + self.stage_width / 2
        self.left_of_module = MARGIN + self.stage_width + 0.35
        self.x_decoder = MARGIN + 1.5 * self.stage_width + 2
        if module:
            self.x_decoder = self.left_of_module + self.branch_width + (2.35 if module.pooled_behind_norm else 2.1)
        self.x_heads = self.x_decoder + self.stage_width / 2 + 0.35 + self.head_width / 2
        beside_heads = self.x_heads + self.head_width / 2 + 0.35 + self.output_width / 2
        self.x_outputs = beside_heads if described.fusion else self.x_heads
        width = max(self.x_heads + self.head_width / 2, self.x_outputs + self.output_width / 2) + MARGIN

        titles = textwrap.wrap(title, int((width - 2 * MARGIN) / CHARACTER))
        legend = {k: textwrap.wrap(v, int((width - 2 * MARGIN - 0.3) / CHARACTER)) for k, v in described.legend.items()}
        self.y_top = MARGIN + (len(titles) + 1) * LINE + SMALL_BOX / 2
        first = self.y_top + SMALL_BOX / 2 + GAP + BOX / 2
        self.rows = [first + s * (BOX + GAP) for s in range(len(described.decoder))]
        half_module = (len(module.dilated) + 2) * BRANCH_PITCH / 2 if module else 0
        self.rows.append(self.rows[-1] + BOX / 2 + GAP + max(BOX / 2, half_module + 0.3))
        y_legend = self.rows[-1] + max(BOX / 2, half_module) + 0.4
        height = y_legend + sum((len(lines) + 0.5) * LINE for lines in legend.values()) + MARGIN / 2

        self.figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
        FigureCanvasAgg(self.figure)
        self.axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set(xlim=(0, width), ylim=(height, 0))
        self.axes.set_axis_off()
        for i, line in enumerate(titles):
            self.text(width / 2, MARGIN + i * LINE, line, bold=True)
        for kind, lines in legend.items():
            self.blocks(MARGIN + 0.1, y_legend, [kind])
            for i, line in enumerate(lines):
                self.text(MARGIN + 0.3, y_legend + i * LINE, line, ha="left")
            y_legend += (len(lines) + 0.5) * LINE
        self.draw_stages()
        if module:
            self.draw_eas_module(module)
        self.draw_outputs()

    def text(self, x: float, y: float, text: str, ha: str = "center", bold: bool = False, rotation: int = 0) -> None:
        weight = "bold" if bold else "normal"
        # a title may hold dollar signs
        self.axes.text(x, y, text, FONT, ha=ha, fontweight=weight, rotation=rotation, parse_math=False)

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
        """A box with its lines in the middle, the first in bold where there are several."""
        style = {"edgecolor": colour, "facecolor": to_rgba(colour, 0.15), "linewidth": 1.2, "zorder": 2, **style}
        self.axes.add_patch(Rectangle((x - width / 2, y - height / 2), width, height, gid="box", **style))
        for i, line in enumerate(lines):
            self.text(x, y + (i - (len(lines) - 1) / 2) * LINE, line, bold=len(lines) > 1 and i == 0)

    def blocks(self, x: float, y: float, kinds: Sequence[str]) -> None:
        """One square per block in a row, hatched by the block's kind."""
        pitch = min(0.17, 1.1 / len(kinds))
        style: dict[str, Any] = {"facecolor": "white", "edgecolor": "black", "linewidth": 0.7, "zorder": 3}
        for i, kind in enumerate(kinds):
            corner = x + (i - len(kinds) / 2) * pitch + 0.1 * pitch, y - 0.065
            self.axes.add_patch(Rectangle(corner, 0.8 * pitch, 0.13, hatch=HATCHES[kind], gid=f"{kind} block", **style))

    def arrow(self, *points: tuple[float, float], gid: str = "arrow", **line: Any) -> None:
        line = {"color": "black", "linewidth": 1, "mutation_scale": 8, "joinstyle": "miter", "zorder": 1, **line}
        self.axes.add_patch(FancyArrowPatch(path=Polyline(points), arrowstyle="-|>", gid=gid, **line))

    def arrow_to_decoder(self, *points: tuple[float, float]) -> None:
        """An arrow from the bottleneck that ends below the decoder's lowest stage."""
        y = self.rows[-1]
        self.arrow(*points, (self.x_decoder, y), (self.x_decoder, self.rows[-2] + BOX / 2), gid="up")

    def draw_stages(self) -> None:
        described, half = self.described, self.stage_width / 2
        encoder, decoder, first = self.x_encoder, self.x_decoder, self.rows[0] - BOX / 2
        for name, x, stages in (("encoder", encoder, described.encoder), ("decoder", decoder, described.decoder)):
            self.text(x - half, first - 0.12, name, ha="left", bold=True)
            for y, stage in zip(self.rows, stages):
                self.box(x, y, self.stage_width, BOX, colour=COLOURS[name])
                for i, line in enumerate(stage.lines):
                    self.text(x, y - 0.32 + i * LINE, line, bold=i == 0)
                self.blocks(x, y + 0.3, stage.blocks)
        self.box(encoder, self.y_top, self.stage_width, SMALL_BOX, described.input)
        self.arrow((encoder, self.y_top + SMALL_BOX / 2), (encoder, first))
        self.text(encoder + 0.1, first - GAP / 2, f"first block:\n{described.first_block}", ha="left")
        for s, (y, below) in enumerate(zip(self.rows, self.rows[1:])):
            edge, label = y + BOX / 2, y + BOX / 2 + GAP / 2
            self.arrow((encoder, edge), (encoder, below - BOX / 2), gid="down")
            self.text(encoder + 0.1, label, described.down[s], ha="left")
            self.text(decoder - 0.1, label, described.up[s], ha="right")
            self.arrow((encoder + half, y), (decoder - half, y), gid="skip", linestyle="--")
            self.text((encoder + decoder) / 2, y - 0.1, "concatenate")
            if s + 1 < len(described.decoder):
                self.arrow((decoder, below - BOX / 2), (decoder, edge), gid="up")
        if not described.eas_module:
            self.arrow_to_decoder((encoder + half, self.rows[-1]))

    def draw_eas_module(self, module: EASModuleFacts) -> None:
        y, colour, n = self.rows[-1], COLOURS["EAS module"], len(module.dilated) + 2
        ys = [y + (i - (n - 1) / 2) * BRANCH_PITCH for i in range(n)]
        start, end = self.left_of_module, self.x_decoder - 0.3
        fan, left, right = start + 0.2, start + 0.4, start + 0.4 + self.branch_width
        narrow, wide, height = 0.28 * (self.branch_width - 0.2), 0.72 * (self.branch_width - 0.2), 0.42
        bar, project, add = right + 0.3, right + 0.95, right + 1.42
        top, bottom = ys[0] - BRANCH_PITCH / 2 - 0.27, ys[-1] + height / 2 + 0.12
        self.box((start + end) / 2, (top + bottom) / 2, end - start, bottom - top, colour=colour, facecolor="none")
        self.text(start + 0.1, top + 0.16, module.title, ha="left", bold=True)

        joined = ys[:-1] if module.pooled_behind_norm else ys
        for at, branch in zip(ys, [["ECA"], *module.dilated, ["global average\npooling"]]):
            self.arrow((self.x_encoder + self.stage_width / 2, y), (fan, y), (fan, at), (left, at))
            if branch in module.dilated:
                self.box((left + right) / 2, at, self.branch_width, height, branch, colour)
            else:
                self.box(left + wide / 2, at, wide, height, branch, colour)
                self.arrow((left + wide, at), (right - narrow, at))
                self.box(right - narrow / 2, at, narrow, height, ["1x1"], colour)
            self.arrow((right, at), (bar - 0.14 if at in joined else project - 0.25, at))

        middle = (joined[0] + joined[-1]) / 2
        self.box(bar, middle, 0.28, joined[-1] - joined[0] + height, colour=colour)
        self.text(bar, middle, "concatenate", rotation=90)
        self.arrow((bar + 0.14, y), (project - 0.25, y))
        self.box(project, y, 0.5, height, ["1x1\nnorm" if module.pooled_behind_norm else "1x1"], colour)
        if module.pooled_behind_norm:
            self.box(project, ys[-1], 0.5, height, ["1x1"], colour)
            self.arrow((project + 0.25, ys[-1]), (add, ys[-1]), (add, y + 0.1))
            self.arrow((project + 0.25, y), (add - 0.1, y))
            self.box(add, y, 0.2, 0.2, ["+"], colour)
        self.arrow_to_decoder((add + 0.1 if module.pooled_behind_norm else project + 0.25, y))

    def draw_outputs(self) -> None:
        fusion, prediction = self.described.fusion, self.described.prediction
        x, half, y0 = self.x_heads, self.head_width / 2, self.rows[0]
        self.text(x - half, y0 - SMALL_BOX / 2 - 0.12, "heads", ha="left", bold=True)
        for s, y in enumerate(self.rows[:-1]):
            self.arrow((self.x_decoder + self.stage_width / 2, y), (x - half, y))
            self.box(x, y, self.head_width, SMALL_BOX, self.described.head, COLOURS["head"])
            if s > 0:
                self.box(x, y, self.head_width - 0.08, SMALL_BOX - 0.08, colour=COLOURS["head"], facecolor="none")
                self.text(x, y + SMALL_BOX / 2 + 0.12, "deep supervision")
            if fusion and s == 0:
                self.arrow((x + half, y), (self.x_outputs - self.output_width / 2, y), gid="fused")
            elif fusion:
                self.arrow((x + half, y), (self.x_outputs, y), (self.x_outputs, y0 + BOX / 2), gid="fused")
        if fusion:
            self.box(self.x_outputs, y0, self.output_width, BOX, fusion, COLOURS["output"])
        source = y0 - (BOX if fusion else SMALL_BOX) / 2
        self.arrow((self.x_outputs, source), (self.x_outputs, self.y_top + SMALL_BOX / 2))
        self.box(self.x_outputs, self.y_top, self.output_width, SMALL_BOX, prediction, COLOURS["output"])


def _width(least: float, lines: Sequence[str]) -> float:
    return max([least, *(len(line) * CHARACTER + 0.15 for line in lines)])
