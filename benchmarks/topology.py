"""Which topology the planner should choose: smallest edge, width, and whether memory buys patch or batch.

    python benchmarks/topology.py --dataset .../Dataset004_Hippocampus --work DIR --out RESULT.json

Every variant is planned by EASUNetPlanner with one of its constants turned, and trained through nnU-Net's own commands
at equal iterations, fold 0, with several seeds (of the first weights and of the sampling). The number compared is the
mean validation Dice that nnU-Net writes at the end. A second call does only what is missing.

The last question is asked at equal memory: the patch that the planner finds at a smaller target, with as many samples
as then fit the target itself, against the planner's own rule (the patch as large as fits twice, batch with what is
left).
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path

import environment
from host_commands import BENCHMARK_TRAINERS, call, plan, with_trainers, write_json

TRAINER = "EASUNetTrainer_short"


@dataclass(frozen=True)
class Variant:
    """One plan to train.

    Attributes:
        question: What it is compared for.
        name: Of the plans file, behind EASUNetPlans_.
        configuration: 2d or 3d_fullres.
        constants: Attributes of the planner that are turned.
        target_gb: The memory to fill; None takes `batch_size`.
        patch_target_gb: The memory that decides the patch, where it is another.
        batch_size: Where the memory does not decide it.
        seeds: How many runs.
    """

    question: str
    name: str
    configuration: str
    constants: dict[str, int] = field(default_factory=dict)
    target_gb: float | None = None
    patch_target_gb: float | None = None
    batch_size: int | None = None
    seeds: int = 2


VARIANTS = (
    Variant("smallest edge", "edge4", "2d", {"UNet_featuremap_min_edge_length": 4}, batch_size=32),
    Variant("smallest edge", "edge8", "2d", {"UNet_featuremap_min_edge_length": 8}, batch_size=32),
    Variant("smallest edge", "edge16", "2d", {"UNet_featuremap_min_edge_length": 16}, batch_size=32, seeds=1),
    Variant("width", "width16", "2d", {"UNet_base_num_features": 16}, batch_size=32, seeds=1),
    Variant("width", "width24", "2d", {"UNet_base_num_features": 24}, batch_size=32, seeds=1),
    Variant("width", "width48", "2d", {"UNet_base_num_features": 48}, batch_size=32, seeds=1),
    Variant("width at equal memory", "mem_width24", "2d", {"UNet_base_num_features": 24}, target_gb=0.24, seeds=1),
    Variant("width at equal memory", "mem_width32", "2d", {"UNet_base_num_features": 32}, target_gb=0.24),
    Variant("width at equal memory", "mem_width48", "2d", {"UNet_base_num_features": 48}, target_gb=0.24),
    Variant("width at equal memory", "mem_width64", "2d", {"UNet_base_num_features": 64}, target_gb=0.24, seeds=1),
    Variant("patch or batch", "patch_2d", "2d", target_gb=0.12),
    Variant("patch or batch", "batch_2d", "2d", target_gb=0.12, patch_target_gb=0.015),
    Variant("patch or batch", "patch_3d", "3d_fullres", target_gb=0.5, seeds=1),
    Variant("patch or batch", "batch_3d", "3d_fullres", target_gb=0.5, patch_target_gb=0.1, seeds=1),
)


def main() -> None:
    """Runs what is missing and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, required=True, help="a dataset in nnU-Net's raw layout")
    parser.add_argument("--work", type=Path, required=True, help="folder for nnU-Net's three folders")
    parser.add_argument("--out", type=Path, required=True, help="the JSON to write")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--iterations", type=int, default=50, help="an epoch's")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--only", nargs="*", help="names of variants")
    args = parser.parse_args()
    plan(args.work, args.dataset, {"2d": 32, "3d_fullres": 2})
    variants = [v for v in VARIANTS if not args.only or v.name in args.only]
    planned = {v.name: plan_variant(args.work, args.dataset, v) for v in variants}
    results: list[dict] = []
    # the cheap ones first
    for seed, variant in sorted(product(range(2), variants), key=lambda run: run[1].configuration):
        if seed < variant.seeds:
            results.append({"variant": variant.name, "seed": seed, **train(args, variant, seed)})
            write(args, variants, planned, results)


def plan_variant(work: Path, dataset: Path, variant: Variant) -> dict:
    """Writes the variant's plans file, from the preprocessed data that are there, and returns what it holds."""
    os.environ.update(nnUNet_raw=str(work / "raw"), nnUNet_preprocessed=str(work / "preprocessed"))
    from nnunet_eas.plans.memory_budget import MemoryBudget
    from nnunet_eas.plans.planner import EASUNetPlanner

    name = f"EASUNetPlans_{variant.name}"
    planner = EASUNetPlanner(dataset.name, variant.patch_target_gb or variant.target_gb or 8, plans_name=name)
    for constant, value in variant.constants.items():
        assert hasattr(planner, constant)
        setattr(planner, constant, value)
    plans = planner.plan_experiment()
    configuration = plans["configurations"][variant.configuration]
    architecture, patch_size = configuration["architecture"], configuration["patch_size"]
    if variant.batch_size:
        configuration["batch_size"] = variant.batch_size
    elif variant.patch_target_gb:
        configuration["batch_size"] = MemoryBudget(variant.target_gb, planner.dataset_json).samples_that_fit(
            architecture, patch_size
        )
    write_json(work / "preprocessed" / dataset.name / f"{name}.json", plans)
    kwargs = configuration["architecture"]["arch_kwargs"]
    return {
        **asdict(variant),
        "patch_size": configuration["patch_size"],
        "batch_size": configuration["batch_size"],
        "features_per_stage": list(kwargs["features_per_stage"]),
        "dilations": kwargs["dilations"],
        "counted_peak_bytes": planner.budget.count(architecture, patch_size, configuration["batch_size"]).peak,
        "voxels_per_step": configuration["batch_size"] * math.prod(configuration["patch_size"]),
    }


def train(args: argparse.Namespace, variant: Variant, seed: int) -> dict:
    """One training with its validation, unless it is there already."""
    plans = f"EASUNetPlans_{variant.name}"
    results = f"results_seed{seed}"
    fold = args.work / results / args.dataset.name / f"{TRAINER}__{plans}__{variant.configuration}" / "fold_0"
    summary = fold / "validation" / "summary.json"
    if not summary.is_file():
        variables = {
            "BENCHMARK_EPOCHS": str(args.epochs),
            "BENCHMARK_ITERATIONS": str(args.iterations),
            "BENCHMARK_VAL_ITERATIONS": "2",
            "BENCHMARK_SEED": str(seed),
            "nnUNet_n_proc_DA": "0",  # sampling in the training's own process, where the seed reaches it
            **with_trainers(BENCHMARK_TRAINERS),
        }
        command = ["nnUNetv2_train", args.dataset.name, variant.configuration, "0", "-tr", TRAINER, "-p", plans]
        if (fold / "checkpoint_best.pth").is_file():
            command.append("--c")
        call(args.work, [*command, "-device", args.device], results, **variables)
    metrics = json.loads(summary.read_text())
    dice = metrics["foreground_mean"]["Dice"]
    print(f"seed {seed}, {variant.name}: {dice:.4f}", flush=True)
    return {
        "mean_validation_dice": dice,
        "dice_per_label": {label: m["Dice"] for label, m in metrics["mean"].items()},
        "validation_cases": len(metrics["metric_per_case"]),
    }


def write(args: argparse.Namespace, variants: list[Variant], planned: dict, results: list[dict]) -> None:
    """The table, complete or so far."""
    table = []
    for variant in variants:
        dice = [r["mean_validation_dice"] for r in results if r["variant"] == variant.name]
        if dice:
            spread = {"lowest": min(dice), "highest": max(dice)}
            table.append({**planned[variant.name], "runs": len(dice), "mean_dice": statistics.mean(dice), **spread})
    content = {
        "dataset": args.dataset.name,
        "fold": 0,
        "trainer": TRAINER,
        "epochs_x_iterations": [args.epochs, args.iterations],
        "device": args.device,
        "table": table,
        "results": results,
        "environment": environment.describe(),
    }
    write_json(args.out, content)


if __name__ == "__main__":
    main()
