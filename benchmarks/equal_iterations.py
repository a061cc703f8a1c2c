"""EASUNetTrainer against default nnU-Net at equal iterations and batch, through nnU-Net's own commands.

    python benchmarks/equal_iterations.py --dataset .../Dataset004_Hippocampus --work DIR --out RESULT.json

Every training is a run of its own, with its own results folder; a second call does only what is missing. The number
compared is the mean validation Dice that nnU-Net writes at the end of a training (fold 0).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import environment

TRAINERS = {"default": "nnUNetTrainer_short", "eas": "EASUNetTrainer_short"}


def main() -> None:
    """Runs what is missing and writes the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--dataset", type=Path, required=True, help="a dataset in nnU-Net's raw layout, DatasetXXX_NAME"
    )
    parser.add_argument("--work", type=Path, required=True, help="folder for nnU-Net's three folders")
    parser.add_argument("--out", type=Path, required=True, help="the JSON to write")
    parser.add_argument("--configurations", nargs="+", default=["2d", "3d_fullres"])
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--batch", nargs="+", default=["2d=48", "3d_fullres=2"], help="CONFIGURATION=SIZE")
    parser.add_argument(
        "--length", nargs="+", default=["2d=12x50", "3d_fullres=10x30"], help="CONFIGURATION=EPOCHSxITER"
    )
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    if not (args.dataset / "dataset.json").is_file():
        raise SystemExit(
            f"--dataset must hold dataset.json, got {args.dataset}. Give a folder in nnU-Net's raw layout."
        )

    batches = {k: int(v) for k, v in (item.split("=") for item in args.batch)}
    lengths = {k: tuple(map(int, v.split("x"))) for k, v in (item.split("=") for item in args.length)}
    plan(args, batches)
    results = []
    for run in range(args.runs):
        for configuration in args.configurations:
            for network, trainer in TRAINERS.items():
                results.append(train(args, run, configuration, network, trainer, *lengths[configuration]))
                write(args, batches, lengths, results)


def call(args: argparse.Namespace, command: list[str], run: int = 0, **variables: str) -> None:
    """One of nnU-Net's commands, with the benchmark's folders."""
    trainers = [str(Path(__file__).parent.resolve() / "trainers"), os.environ.get("nnUNet_extTrainer", "")]
    env = {
        "nnUNet_n_proc_DA": "1",
        "nnUNet_def_n_proc": "2",
        **os.environ,
        "nnUNet_raw": str(args.work / "raw"),
        "nnUNet_preprocessed": str(args.work / "preprocessed"),
        "nnUNet_results": str(args.work / f"results_run{run}"),
        "nnUNet_extTrainer": os.pathsep.join(t for t in trainers if t),
        **variables,
    }
    log = args.work / "logs" / f"{'_'.join(command[:4])}_run{run}_{time.strftime('%H%M%S')}.txt".replace("/", "")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as f:
        code = subprocess.call(
            [str(Path(sys.executable).parent / command[0]), *command[1:]], env=env, stdout=f, stderr=subprocess.STDOUT
        )
    if code:
        raise SystemExit(f"{' '.join(command)} failed, see {log}")


def plan(args: argparse.Namespace, batches: dict[str, int]) -> None:
    """Plans and preprocesses once, then sets the batch sizes in the plan as nnU-Net lets users do."""
    name = args.dataset.name
    plans_file = args.work / "preprocessed" / name / "nnUNetPlans.json"
    done = args.work / "planned"
    if not done.is_file():
        shutil.copytree(args.dataset, args.work / "raw" / name, dirs_exist_ok=True)
        number = str(int(name[7:10]))
        call(args, ["nnUNetv2_plan_and_preprocess", "-d", number, "-c", *args.configurations, "-np", "2"])
        done.touch()
    plans = json.loads(plans_file.read_text())
    for configuration, size in batches.items():
        plans["configurations"][configuration]["batch_size"] = size
    plans_file.write_text(json.dumps(plans, indent=4))


def train(
    args: argparse.Namespace, run: int, configuration: str, network: str, trainer: str, epochs: int, iterations: int
) -> dict:
    """One training with its validation, unless it is there already."""
    folder = args.work / f"results_run{run}" / args.dataset.name / f"{trainer}__nnUNetPlans__{configuration}" / "fold_0"
    summary = folder / "validation" / "summary.json"
    if not summary.is_file():
        print(f"run {run}, {configuration}: {trainer}", flush=True)
        length = {"EPOCHS": epochs, "ITERATIONS": iterations, "VAL_ITERATIONS": 5}
        command = ["nnUNetv2_train", args.dataset.name, configuration, "0", "-tr", trainer, "-device", args.device]
        if (folder / "checkpoint_best.pth").is_file():
            command.append("--c")
        call(args, command, run, **{f"BENCHMARK_{k}": str(v) for k, v in length.items()})
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


def write(args: argparse.Namespace, batches: dict, lengths: dict, results: list[dict]) -> None:
    """Results and their comparison, complete or so far."""
    comparison = {}
    for configuration in args.configurations:
        of = {
            network: [
                r["mean_validation_dice"]
                for r in results
                if r["configuration"] == configuration and r["network"] == network
            ]
            for network in TRAINERS
        }
        if all(of.values()):
            means = {network: statistics.mean(values) for network, values in of.items()}
            comparison[configuration] = {**means, "eas_minus_default": means["eas"] - means["default"]}
    content = {
        "dataset": args.dataset.name,
        "fold": 0,
        "batch_size": batches,
        "epochs_x_iterations": {k: list(v) for k, v in lengths.items()},
        "device": args.device,
        "comparison": comparison,
        "results": results,
        "environment": environment.describe(),
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    temporary = args.out.with_suffix(".tmp")
    temporary.write_text(json.dumps(content, indent=2) + "\n")
    temporary.replace(args.out)


if __name__ == "__main__":
    main()
