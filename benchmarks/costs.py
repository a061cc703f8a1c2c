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
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import environment
import torch
from arms import ARMS, NETWORKS, TRAINERS
from host_commands import with_trainers, write_json
from prepared import Prepared, sizes_of
from torch.utils.flop_counter import FlopCounterMode


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
    """All networks of one configuration, in turns."""
    device = torch.device(args.device)
    with tempfile.TemporaryDirectory() as results:
        folders = {"raw": prepared.work / "raw", "preprocessed": prepared.work / "preprocessed", "results": results}
        os.environ.update({f"nnUNet_{name}": str(folder) for name, folder in folders.items()})
        os.environ.update(with_trainers(TRAINERS), BENCHMARK_THREADS=str(args.threads))
        os.environ.update(BENCHMARK_EPOCHS="1", BENCHMARK_ITERATIONS="1", BENCHMARK_VAL_ITERATIONS="1")
        measured = {name: Measured(prepared, name, configuration, device) for name in args.networks}
        for round_ in range(args.rounds + 1):
            for name, one in measured.items():
                one.step_seconds.append(seconds(one.step, device))
                one.scan_seconds.append(seconds(one.predict, device))
                print(f"{configuration}, {name}, round {round_}: {one.step_seconds[-1]:.3f} s a step, ", end="")
                print(f"{one.scan_seconds[-1]:.2f} s a scan{' (warm-up)' if round_ == 0 else ''}", flush=True)
        return [one.row(args) for one in measured.values()]


class Measured:
    """One network with its trainer, its predictor, a batch and a scan."""

    def __init__(self, prepared: Prepared, name: str, configuration: str, device: torch.device) -> None:
        from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name

        self.prepared, self.name, self.configuration, self.device = prepared, name, configuration, device
        self.arm = ARMS[name]
        self.plan = prepared.configuration(name, self.arm, configuration)
        self.plans = json.loads((prepared.preprocessed / f"{name}.json").read_text())
        self.dataset_json = json.loads((prepared.preprocessed / "dataset.json").read_text())
        trainer = recursive_find_trainer_class_by_name(f"{self.arm.trainer}_short")
        arguments = ({**self.plans, "continue_training": False}, configuration, 0, self.dataset_json, device)
        self.trainer = trainer(*arguments)
        self.trainer.initialize()
        self.trainer.network.train()
        self.channels = self.trainer.num_input_channels
        self.classes = self.trainer.label_manager.num_segmentation_heads
        self.predictor = self._predictor()
        generator = torch.Generator().manual_seed(0)
        patch, batch = self.plan["patch_size"], self.plan["batch_size"]
        target = torch.randint(0, self.classes, (batch, 1, *patch), generator=generator)
        scales = self.trainer._get_deep_supervision_scales()
        resized = [torch.nn.functional.interpolate(target.float(), scale_factor=tuple(s)).long() for s in scales or []]
        data = torch.randn(batch, self.channels, *patch, generator=generator)
        self.batch = {"data": data, "target": resized or target}
        self.scan = torch.randn(self.channels, *self._median_scan(), generator=generator)
        self.step_seconds: list[float] = []
        self.scan_seconds: list[float] = []

    def step(self) -> None:
        """One of the trainer's training steps."""
        self.trainer.train_step(self.batch)

    def predict(self) -> None:
        """The logits of one scan, mirrored views included."""
        self.predictor.predict_sliding_window_return_logits(self.scan)

    def row(self, args: argparse.Namespace) -> dict[str, Any]:
        """Everything measured; the first round was a warm-up."""
        network = self.predictor.network
        patch = torch.zeros(1, self.channels, *self.plan["patch_size"], device=self.device)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(patch)
        return {
            "dataset": self.prepared.dataset.name,
            "configuration": self.configuration,
            "arm": self.name,
            "device": args.device,
            "code": self.arm.code(),
            "plan": {key: self.plan[key] for key in ("batch_size", "patch_size")},
            "cost": {
                "parameters": sum(parameter.numel() for parameter in network.parameters()),
                "flops": counter.get_total_flops(),
                "step_seconds": _median(self.step_seconds[1:]),
                "scan_seconds": _median(self.scan_seconds[1:]),
                "scan_shape": list(self.scan.shape),
                "peak_bytes": peak_bytes(self.trainer, self.step, self.device),
            },
            "threads": args.threads,
            "environment": environment.describe(),
        }

    def _predictor(self):
        from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

        trainer = self.trainer
        network = trainer.build_network_architecture(
            trainer.plans_manager,
            trainer.configuration_manager,
            self.channels,
            self.classes,
            enable_deep_supervision=False,
        )
        predictor = nnUNetPredictor(
            device=self.device, perform_everything_on_device=self.device.type == "cuda", allow_tqdm=False
        )
        predictor.manual_initialization(
            network.to(self.device).eval(),
            trainer.plans_manager,
            trainer.configuration_manager,
            [network.state_dict()],
            self.dataset_json,
            type(trainer).__name__,
            trainer.configure_rotation_dummyDA_mirroring_and_inital_patch_size()[3],
        )
        return predictor

    def _median_scan(self) -> list[int]:
        """Of the dataset, after resampling; a 2-D configuration resamples within slices only."""
        edges = [round(edge) for edge in self.plan["median_image_size_in_voxels"]]
        slices = self.plans["original_median_shape_after_transp"][0]
        return edges if len(edges) == 3 else [round(slices), *edges]


def seconds(action: Callable[[], None], device: torch.device) -> float:
    """Wall time of one call, to the end of what the device does."""
    start = time.perf_counter()
    action()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def peak_bytes(trainer: Any, step: Callable[[], None], device: torch.device) -> int:
    """The most in one training step, with what is there before it: network, momentum, gradients."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        step()
        return torch.cuda.max_memory_allocated()
    trainer.optimizer.zero_grad()
    parameters = sum(p.numel() * p.element_size() for p in trainer.network.parameters())
    buffers = sum(b.numel() * b.element_size() for b in trainer.network.buffers())
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        step()
    events = profile.profiler.kineto_results.events()
    now = peak = 0
    for _, size in sorted((e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]"):
        now += size
        peak = max(peak, now)
    return 2 * parameters + buffers + peak


def _median(values: list[float]) -> dict[str, Any]:
    return {"median": statistics.median(values), "least": min(values), "most": max(values), "rounds": len(values)}


if __name__ == "__main__":
    main()
