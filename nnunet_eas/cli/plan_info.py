"""`nnunet-eas plan_info`: a plan as a person reads it, beside nnU-Net's default plan, and as a drawing."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nnunet_eas.plans.summary import ConfigurationSummary

DEFAULT_PLANS = "nnUNetPlans"


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser(
        "plan_info",
        help="show what has been planned, beside nnU-Net's default plan",
        description="Show every configuration of a plan as EASUNetTrainer trains it: stages, rates, size, cost and "
        "memory, beside nnU-Net's default plan where there is one. Memory is counted, for an eager training step in "
        "half precision.",
    )
    parser.add_argument("-d", type=int, required=True, metavar="ID", help="id of the dataset, e.g. 4")
    parser.add_argument("-p", default="EASUNetPlans", metavar="NAME", help="the plans (default: %(default)s)")
    parser.add_argument("-c", nargs="+", metavar="CONFIGURATION", help="which configurations (default: all)")
    parser.add_argument("--png", type=Path, metavar="DIR", help="also draw each network into this folder")


def run(args: argparse.Namespace) -> int:
    """Print the summary; 0."""
    from nnunet_eas.plans.translation import translate_plans
    from nnunet_eas.plans.preprocessing import dataset_name, preprocessed_folder
    from nnunet_eas.plans.summary import summarise

    name = dataset_name(args.d)
    folder = preprocessed_folder(name)
    file = folder / f"{args.p}.json"
    if not file.is_file():
        raise FileNotFoundError(
            f"-p must name plans of {name}, got {args.p}, which is not in {folder}. "
            f"Run nnunet-eas plan_experiment -d {args.d}, or give -p {DEFAULT_PLANS}."
        )
    plans = translate_plans(json.loads(file.read_text(encoding="utf-8")))
    unknown = [c for c in args.c or () if c not in plans["configurations"]]
    if unknown:
        raise ValueError(
            f"-c must name configurations of {args.p}, got {' '.join(unknown)}. "
            f"It has {', '.join(plans['configurations'])}."
        )
    dataset_json = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    default_file = folder / f"{DEFAULT_PLANS}.json"
    default = json.loads(default_file.read_text(encoding="utf-8")) if default_file.is_file() else None
    if args.png:
        args.png.mkdir(parents=True, exist_ok=True)
    for configuration in args.c or plans["configurations"]:
        columns = {args.p: summarise(plans, configuration, dataset_json)}
        if default and configuration in default["configurations"]:
            header = f"{DEFAULT_PLANS}, stock" if args.p == DEFAULT_PLANS else DEFAULT_PLANS
            columns[header] = summarise(default, configuration, dataset_json)
        print(f"{configuration} of {name}\n{_table(columns)}\n", flush=True)
        if args.png:
            path = args.png / f"{name}_{args.p}_{configuration}.png"
            _draw(plans, configuration, columns[args.p], f"{configuration} of {name}, {args.p}", path)
            print(f"drawn: {path}\n", flush=True)
    return 0


def _draw(plans: dict[str, Any], configuration: str, summary: ConfigurationSummary, title: str, path: Path) -> None:
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    from nnunet_eas.plans.drawing import draw_network

    draw_network(
        PlansManager(plans).get_configuration(configuration).configuration["architecture"],
        patch_size=summary.patch_size,
        input_channels=summary.input_channels,
        num_outputs=summary.num_outputs,
        title=title,
        path=path,
    )


def _table(columns: dict[str, ConfigurationSummary]) -> str:
    texts = [_column(name, summary) for name, summary in columns.items()]
    labels = list(dict.fromkeys(label for text in texts for label in text))
    widths = [max(map(len, labels)), *[max(map(len, text.values())) for text in texts]]
    lines = []
    for label in labels:
        cells = [label, *[text.get(label, "-") for text in texts]]
        lines.append("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip())
    return "\n".join(lines)


def _column(name: str, summary: ConfigurationSummary) -> dict[str, str]:
    from nnunet_eas.plans.summary import STEPS_PER_EPOCH

    column = {
        "plans": name,
        "network": summary.network,
        "spacing (mm)": " x ".join(f"{i:.4g}" for i in summary.spacing),
        "patch": _by(summary.patch_size),
        "batch": str(summary.batch_size),
        "voxels a step": f"{summary.voxels_per_step:,}",
        "channels in, out": f"{summary.input_channels}, {summary.num_outputs}",
    }
    for number, stage in enumerate(summary.stages, 1):
        down = "" if number == 1 else f", stride {_by(stage.stride)}"
        column[f"stage {number}"] = (
            f"{_by(stage.shape)}, {stage.channels} channels, kernel {_by(stage.kernel_size)}{down}"
        )
    if summary.dilations:
        column["atrous rates"] = ", ".join(_by(rates) for rates in summary.dilations)
    return {
        **column,
        "parameters": f"{summary.parameters / 1e6:.2f} million",
        "forward pass of a patch": f"{summary.flops / 1e9:.1f} GFLOP",
        "kept for the backward pass": f"{summary.memory.activations / 1e9:.2f} GB",
        "peak of a training step": f"{summary.memory.peak / 1e9:.2f} GB",
        "steps an epoch": f"{STEPS_PER_EPOCH}, one pass over the images {summary.steps_per_pass}",
    }


def _by(edges: Sequence[int]) -> str:
    return "x".join(map(str, edges))
