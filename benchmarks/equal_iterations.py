"""EASUNetTrainer against default nnU-Net at equal iterations and batch, through nnU-Net's own commands.

    python benchmarks/equal_iterations.py --dataset .../Dataset004_Hippocampus --work DIR --out RESULT.json

Every training is a run of its own, with its own results folder; a second call does only what is missing. The number
compared is the mean validation Dice that nnU-Net writes at the end of a training (fold 0).
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path

import environment
from host_commands import BENCHMARK_TRAINERS, by_name, call, plan, with_trainers, write_json


def main() -> None:
    """Runs what is missing and writes the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--dataset", type=Path, required=True, help="a dataset in nnU-Net's raw layout, DatasetXXX_NAME"
    )
    parser.add_argument("--work", type=Path, required=True, help="folder for nnU-Net's three folders")
    parser.add_argument("--out", type=Path, required=True, help="the JSON to write")
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--batch", nargs="+", default=["2d=48", "3d_fullres=2"], help="CONFIGURATION=SIZE")
    parser.add_argument(
        "--length", nargs="+", default=["2d=12x50", "3d_fullres=10x100"], help="CONFIGURATION=EPOCHSxITER"
    )
    parser.add_argument("--patch", nargs="*", default=[], help="CONFIGURATION=EDGExEDGE..., where not the plan's own")
    parser.add_argument(
        "--networks",
        nargs="+",
        default=["default=nnUNetTrainer_short", "eas=EASUNetTrainer_short"],
        help="NAME=TRAINER, a trainer of trainers/short.py; the others are compared with the first",
    )
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    trainers = by_name(args.networks)
    batches = {k: int(v) for k, v in by_name(args.batch).items()}
    lengths = {k: tuple(map(int, v.split("x"))) for k, v in by_name(args.length).items()}
    patches = {k: list(map(int, v.split("x"))) for k, v in by_name(args.patch).items()}
    plan(args.work, args.dataset, batches, patches)
    results = []
    for run in range(args.runs):
        for configuration in batches:
            for network, trainer in trainers.items():
                results.append(train(args, run, configuration, network, trainer, *lengths[configuration]))
                write(args, trainers, batches, patches, lengths, results)


def train(
    args: argparse.Namespace, run: int, configuration: str, network: str, trainer: str, epochs: int, iterations: int
) -> dict:
    """One training with its validation, unless it is there already."""
    folder = args.work / f"results_run{run}" / args.dataset.name / f"{trainer}__nnUNetPlans__{configuration}" / "fold_0"
    summary = folder / "validation" / "summary.json"
    if not summary.is_file():
        print(f"run {run}, {configuration}: {trainer}", flush=True)
        variables = {
            "BENCHMARK_EPOCHS": str(epochs),
            "BENCHMARK_ITERATIONS": str(iterations),
            "BENCHMARK_VAL_ITERATIONS": "5",
            **with_trainers(BENCHMARK_TRAINERS),
        }
        command = ["nnUNetv2_train", args.dataset.name, configuration, "0", "-tr", trainer, "-device", args.device]
        if (folder / "checkpoint_best.pth").is_file():
            command.append("--c")
        call(args.work, command, f"results_run{run}", **variables)
    metrics = json.loads(summary.read_text())
    dice = metrics["foreground_mean"]["Dice"]
    print(f"run {run}, {configuration}, {network}: {dice:.4f}", flush=True)
    return {
        "run": run,
        "configuration": configuration,
        "network": network,
        "trainer": trainer,
        "mean_validation_dice": dice,
        "dice_per_label": {label: m["Dice"] for label, m in metrics["mean"].items()},
        "validation_cases": len(metrics["metric_per_case"]),
    }


def write(
    args: argparse.Namespace, trainers: dict, batches: dict, patches: dict, lengths: dict, results: list[dict]
) -> None:
    """Results and their comparison, complete or so far."""
    comparison = {}
    for configuration in batches:
        of = {
            network: [
                r["mean_validation_dice"]
                for r in results
                if r["configuration"] == configuration and r["network"] == network
            ]
            for network in trainers
        }
        if all(of.values()):
            means = {network: statistics.mean(values) for network, values in of.items()}
            first, *others = means
            differences = {f"{other}_minus_{first}": means[other] - means[first] for other in others}
            comparison[configuration] = {**means, **differences}
    content = {
        "dataset": args.dataset.name,
        "fold": 0,
        "batch_size": batches,
        "patch_size_where_not_the_plans": patches,
        "epochs_x_iterations": {k: list(v) for k, v in lengths.items()},
        "device": args.device,
        "comparison": comparison,
        "results": results,
        "environment": environment.describe(),
    }
    write_json(args.out, content)


if __name__ == "__main__":
    main()
