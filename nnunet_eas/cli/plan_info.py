"""Show what has been planned, beside nnU-Net's default plan.

Show every configuration of a plan as EASUNetTrainer trains it: stages, rates, size, cost and memory, beside nnU-Net's
default plan where there is one. Memory is counted, for an eager training step in half precision. Recomputation saves
memory on a GPU: the maps within a stage are not kept for the backward pass, and are computed again in it.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nnunet_eas.plans.summary import ConfigurationSummary


def add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("-d", type=int, required=True, metavar="ID", help="id of the dataset, e.g. 4")
    add("-p", default="EASUNetPlans", metavar="NAME", help="the plans (default: %(default)s)")
    add("-c", nargs="+", metavar="CONFIGURATION", help="which configurations (default: all)")
    add("--png", type=Path, metavar="DIR", help="also draw each network into this folder")


def run(args: argparse.Namespace) -> int:
    from nnunet_eas.plans.comparison import compare_plans

    for compared in compare_plans(args.d, args.p, args.c, args.png):
        print(f"{compared.title}\n{_table(compared.summaries)}\n", flush=True)
        if compared.drawing:
            print(f"drawn: {compared.drawing}\n", flush=True)
    return 0


def _table(summaries: Mapping[str, ConfigurationSummary]) -> str:
    columns = [_column(plans, summary) for plans, summary in summaries.items()]
    labels = list(dict.fromkeys(label for column in columns for label in column))
    cells = [labels, *[[column.get(label, "-") for label in labels] for column in columns]]
    widths = [max(map(len, column)) for column in cells]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in zip(*cells, strict=True)
    )


def _column(plans: str, summary: ConfigurationSummary) -> dict[str, str]:
    column = {
        "plans": plans,
        "network": summary.network,
        "spacing (mm)": " x ".join(f"{i:.4g}" for i in summary.spacing),
        "patch": _by(summary.patch_size),
        "batch": str(summary.batch_size),
        "voxels a step": f"{summary.voxels_per_step:,}",
        "channels in, out": f"{summary.input_channels}, {summary.num_outputs}",
    }
    for number, stage in enumerate(summary.stages, 1):
        down = "" if number == 1 else f", stride {_by(stage.stride)}"
        text = f"{_by(stage.shape)}, {stage.channels} channels, kernel {_by(stage.kernel_size)}{down}"
        column[f"stage {number}"] = text
    column["norm"] = summary.norm or "none"
    if summary.eas_module is not None:
        column |= {"blocks with a shortcut": str(summary.shortcuts), "EAS module": summary.eas_module}
    if summary.dilations:
        column["atrous rates"] = ", ".join(_by(rates) for rates in summary.dilations)
    more = f"yes: {summary.recomputed_flops / 1e9:.1f} GFLOP more in a step" if summary.recompute else "no"
    return {
        **column,
        "parameters": f"{summary.parameters / 1e6:.2f} million",
        "forward pass of a patch": f"{summary.flops / 1e9:.1f} GFLOP",
        "recomputation": more,
        "kept for the backward pass": f"{summary.memory.activations / 1e9:.2f} GB",
        "peak of a training step": f"{summary.memory.peak / 1e9:.2f} GB",
        "steps an epoch": f"{summary.steps_per_epoch}, one pass over the images {summary.steps_per_pass}",
    }


def _by(edges: Sequence[int]) -> str:
    return "x".join(map(str, edges))
