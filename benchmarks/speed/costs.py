r"""The costs of networks: parameters, FLOPs, seconds of a training step and of a scan, peak memory; side by side.

    python -m benchmarks.speed.costs --datasets .../Dataset004_Hippocampus --work DIR --configurations 2d \
        --batch 2d=12 --device cpu --out benchmarks/results/costs.json

Times are those of nnU-Net's trainer for a step on random data, and of its sliding window with mirroring for a random
scan of the dataset's median size. The networks take turns, so that other load of the machine meets all of them. FLOPs
are those of one patch forward. Peak memory is that of one training step, with the network, its gradients and momentum:
on CUDA as PyTorch allocated it, on the CPU as PyTorch's profiler saw it allocated.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import torch

from benchmarks import environment
from benchmarks.commands import folder_variables, trainer_variables
from benchmarks.compare import presets
from benchmarks.compare.networks import NETWORKS
from benchmarks.compare.prepared_dataset import PreparedDataset, sizes_of
from benchmarks.speed.measured import MeasuredNetwork, OwnProcess, spread
from nnunet_eas.support.files import write_json

ROW = ("dataset", "configuration", "arm", "device")
"""A row of the file replaces the one with the same values of these keys."""


def main() -> None:
    """Measures every dataset and configuration."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--datasets", type=Path, nargs="+", required=True, help="DatasetXXX_NAME, nnU-Net's raw layout")
    parser.add_argument("--work", type=Path, required=True, help="the runner's --work, or another folder")
    parser.add_argument("--out", type=Path, required=True, help="the JSON to write; its other rows are kept")
    presets.add_arguments(parser)
    parser.add_argument("--configurations", nargs="+", default=["2d"])
    parser.add_argument("--batch", nargs="*", default=[], help="CONFIGURATION=SIZE, as for the runner")
    parser.add_argument("--patch", nargs="*", default=[], help="CONFIGURATION=EDGExEDGE..., as for the runner")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    args.networks = presets.networks_of(args)
    costs = json.loads(args.out.read_text())["costs"] if args.out.is_file() else []
    for dataset in args.datasets:
        prepared = PreparedDataset(dataset, args.work, sizes_of(args.configurations, args.batch, args.patch))
        for configuration in args.configurations:
            for row in measure(prepared, configuration, args):
                costs = [cost for cost in costs if any(cost[key] != row[key] for key in ROW)] + [row]
                write_json(args.out, {"costs": costs})


def measure(prepared: PreparedDataset, configuration: str, args: argparse.Namespace) -> list[dict[str, Any]]:
    """All networks of one configuration, in turns; the first round is a warm-up."""
    with tempfile.TemporaryDirectory() as results:
        os.environ.update(folder_variables(prepared.work), nnUNet_results=results, **trainer_variables())
        os.environ.update(BENCHMARK_THREADS=str(args.threads))
        os.environ.update(BENCHMARK_EPOCHS="1", BENCHMARK_ITERATIONS="1", BENCHMARK_VAL_ITERATIONS="1")
        dataset_json = json.loads((prepared.preprocessed / "dataset.json").read_text())
        plans, training, prediction, shapes = {}, {}, {}, {}
        steps: dict[str, list[float]] = {name: [] for name in args.networks}
        scans: dict[str, list[float]] = {name: [] for name in args.networks}
        for name in args.networks:
            plans[name] = prepared.configuration(name, NETWORKS[name], configuration)
            content = json.loads((prepared.preprocessed / f"{name}.json").read_text())
            shapes[name] = median_scan(content, plans[name])
            trainer = f"{NETWORKS[name].trainer}_short"
            arguments = (content, configuration, dataset_json, trainer, torch.device(args.device), shapes[name])
            training[name], prediction[name] = (OwnProcess(MeasuredNetwork, *arguments) for _ in range(2))
        for round_ in range(args.rounds + 1):
            for name in args.networks:
                steps[name].append(training[name]("step_seconds"))
                scans[name].append(prediction[name]("scan_seconds"))
                print(f"{configuration}, {name}, round {round_}: {steps[name][-1]:.3f} s a step, ", end="")
                print(f"{scans[name][-1]:.2f} s a scan{' (warm-up)' if round_ == 0 else ''}", flush=True)
        rows = [
            {
                "dataset": prepared.dataset.name,
                "configuration": configuration,
                "arm": name,
                "device": args.device,
                "code": NETWORKS[name].code(),
                "plan": {key: plans[name][key] for key in ("batch_size", "patch_size")},
                "cost": {
                    **prediction[name]("size"),
                    "step_seconds": spread(steps[name][1:]),
                    "scan_seconds": spread(scans[name][1:]),
                    "scan_shape": [prediction[name]("input_channels"), *shapes[name]],
                    "peak_bytes": training[name]("peak_bytes"),
                },
                "threads": args.threads,
                "environment": environment.describe(),
            }
            for name in args.networks
        ]
        for process in (*training.values(), *prediction.values()):
            process.close()
        return rows


def median_scan(plans: dict[str, Any], plan: dict[str, Any]) -> list[int]:
    """The dataset's median scan after resampling, in voxels; a 2-D configuration resamples within slices only."""
    edges = [round(edge) for edge in plan["median_image_size_in_voxels"]]
    slices = plans["original_median_shape_after_transp"][0]
    return edges if len(edges) == 3 else [round(slices), *edges]


if __name__ == "__main__":
    main()
