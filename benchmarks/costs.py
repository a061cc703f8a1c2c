r"""What each network costs: parameters, FLOPs, seconds of a training step and of a scan, peak memory; side by side.

    python benchmarks/costs.py --datasets .../Dataset004_Hippocampus --work DIR --out benchmarks/results/costs.json \
        --configurations 2d --batch 2d=12 --device cpu

Everything is nnU-Net's own: the trainer's step on random data, and its predictor's sliding window with mirroring on a
random scan of the dataset's median size. The networks take turns in one process, so that what else the machine does
meets all of them. FLOPs are of one patch forward. Peak memory is of one training step, with the network, its gradients
and momentum: on CUDA what PyTorch allocated, on the CPU what its profiler saw allocated.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import environment
import torch
from arms import ARMS, NETWORKS, TRAINERS
from host_commands import with_trainers, write_json
from measured import Apart, Measured, spread
from prepared import Prepared, sizes_of


def main() -> None:
    """Measures every dataset and configuration."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--datasets", type=Path, nargs="+", required=True, help="DatasetXXX_NAME, nnU-Net's raw layout")
    parser.add_argument("--work", type=Path, required=True, help="the runner's --work, or another folder")
    parser.add_argument("--out", type=Path, required=True, help="the JSON to write; what it has of others is kept")
    parser.add_argument("--configurations", nargs="+", default=["2d"])
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=ARMS, metavar="NAME")
    parser.add_argument("--batch", nargs="*", default=[], help="CONFIGURATION=SIZE, as the runner's")
    parser.add_argument("--patch", nargs="*", default=[], help="CONFIGURATION=EDGExEDGE..., as the runner's")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    sizes = sizes_of(args.configurations, args.batch, args.patch)
    costs = json.loads(args.out.read_text())["costs"] if args.out.is_file() else []
    for dataset in args.datasets:
        prepared = Prepared(dataset, args.work, sizes)
        for configuration in args.configurations:
            for row in measure(prepared, configuration, args):
                same = ("dataset", "configuration", "arm", "device")
                costs = [c for c in costs if any(c[key] != row[key] for key in same)] + [row]
                write_json(args.out, {"costs": costs})


def measure(prepared: Prepared, configuration: str, args: argparse.Namespace) -> list[dict[str, Any]]:
    """All networks of one configuration, in turns; the first round is a warm-up."""
    device = torch.device(args.device)
    with tempfile.TemporaryDirectory() as results:
        folders = {"raw": prepared.work / "raw", "preprocessed": prepared.work / "preprocessed", "results": results}
        os.environ.update({f"nnUNet_{name}": str(folder) for name, folder in folders.items()})
        os.environ.update(with_trainers(TRAINERS), BENCHMARK_THREADS=str(args.threads))
        os.environ.update(BENCHMARK_EPOCHS="1", BENCHMARK_ITERATIONS="1", BENCHMARK_VAL_ITERATIONS="1")
        dataset_json = json.loads((prepared.preprocessed / "dataset.json").read_text())
        plan, training, prediction, shapes = {}, {}, {}, {}
        steps: dict[str, list[float]] = {name: [] for name in args.networks}
        scans: dict[str, list[float]] = {name: [] for name in args.networks}
        for name in args.networks:
            plan[name] = prepared.configuration(name, ARMS[name], configuration)
            plans = json.loads((prepared.preprocessed / f"{name}.json").read_text())
            trainer = f"{ARMS[name].trainer}_short"
            shapes[name] = median_scan(plans, plan[name])
            measured = (Measured, plans, configuration, dataset_json, trainer, device, shapes[name])
            training[name], prediction[name] = Apart(*measured), Apart(*measured)
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
                "code": ARMS[name].code(),
                "plan": {key: plan[name][key] for key in ("batch_size", "patch_size")},
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
        for one in (*training.values(), *prediction.values()):
            one.close()
        return rows


def median_scan(plans: dict[str, Any], plan: dict[str, Any]) -> list[int]:
    """Of the dataset, after resampling; a 2-D configuration resamples within slices only."""
    edges = [round(edge) for edge in plan["median_image_size_in_voxels"]]
    slices = plans["original_median_shape_after_transp"][0]
    return edges if len(edges) == 3 else [round(slices), *edges]


if __name__ == "__main__":
    main()
