"""Counted against measured memory of a training step for the planner's plans, beside the default plans.

    python -m benchmarks.planning.training_memory --work DIR --out RESULT.json [--device cuda]

Plans EAS U-Nets for datasets that are known by their geometry alone, at several memory targets, and runs real training
steps. A second call does only what is missing, also of a call that ran out of --seconds, which ends with 75.

On the CPU a step runs in single precision and without autocast, as nnU-Net does there. PyTorch's profiler records the
allocated memory: `kept` is alive at the end of the forward pass, `peak` is the most in a step. A step of 80 GB does not
fit every machine; therefore the batch is two, and the patch is halved along its longest axis until the step's count is
below --limit-gb or the coarsest map has two voxels left. `measured_patch_size` is the patch that ran. Where the plan
says `recompute`, the step recomputes as on a GPU. `benchmarks.planning.kept_bytes` compares eager and compiled steps.

On CUDA the plan's own step runs as nnU-Net's trainer does it, with autocast, eager and compiled, and `peak` is
torch.cuda.max_memory_allocated: it must stay within 10 % of the count, and `reserved_bytes` below the target.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import math
import os
import sys
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks import environment
from benchmarks.commands import folder_variables
from benchmarks.planning.fingerprints import write_geometry
from nnunet_eas.cpu import accelerate
from nnunet_eas.gpu import checkpoint_stages, fuse_norms_into_their_readers, lay_out, use_depthwise_kernels
from nnunet_eas.support.files import write_json

CONFIGURATIONS = {
    "Dataset510_Knee": ("2d", "3d_fullres"),
    "Dataset511_Brain": ("3d_fullres",),
    "Dataset512_Heart": ("3d_fullres",),
    "Dataset513_Abdomen": ("2d", "3d_fullres"),
    "Dataset514_Photographs": ("2d",),
}
TARGETS_GB = (8, 16, 24, 40, 80)
UNLIMITED_GB = 1e5  # nnU-Net's first patch and 5 % of the data in a batch fit


def main() -> None:
    """Plans, measures what is missing and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for plans and measurements")
    parser.add_argument("--out", type=Path, required=True, help="the JSON to write")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument(
        "--datasets", nargs="+", default=list(CONFIGURATIONS), choices=list(CONFIGURATIONS), help="(default: all)"
    )
    parser.add_argument("--targets", nargs="+", type=int, default=TARGETS_GB, help="in GB (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=math.inf, help="after these, no further plan begins")
    parser.add_argument("--limit-gb", type=float, default=2.0, help="for the CPU: the largest step to run")
    args = parser.parse_args()
    os.environ.update(folder_variables(args.work))
    measured_file = args.work / f"measured_{args.device}.json"
    measured = json.loads(measured_file.read_text()) if measured_file.is_file() else {}
    rows = []
    end = time.monotonic() + args.seconds
    for dataset in args.datasets:
        write_geometry(args.work / "raw", args.work / "preprocessed", dataset)
    for dataset, configuration, target in plans_of(args.datasets, args.targets):
        row, architecture = planned(dataset, configuration, target)
        key = json.dumps([row, architecture, args.limit_gb])
        if key not in measured or any(name.endswith("_error") for name in measured[key]):
            if time.monotonic() > end:
                break
            measure = on_cuda if args.device == "cuda" else on_cpu
            measured[key] = measure(row, architecture, args.limit_gb)
            write_json(measured_file, measured)
        rows.append({**row, **measured[key]})
        shown = {k: v for k, v in rows[-1].items() if "ratio" in k or k in ("dataset", "configuration")}
        print(shown, flush=True)

    def values(ratio: str) -> list[float]:
        return [row[ratio] for row in rows if ratio in row]

    summary = {
        "plans": len(rows),
        "worst_activations_ratio": max(values("kept_ratio"), key=distance_from_one, default=None),
        "worst_peak_ratio": max(values("peak_ratio"), key=distance_from_one, default=None),
        "least_voxels_ratio_to_default": min(values("voxels_ratio_to_default"), default=None),
        "least_voxels_ratio_where_memory_decides": min(
            (row["voxels_ratio_to_default"] for row in rows if not row["has_all_voxels"]), default=None
        ),
        "most_voxels_ratio_to_default": max(values("voxels_ratio_to_default"), default=None),
    }
    print(summary)
    content = {"device": args.device, "summary": summary, "rows": rows, "environment": environment.describe()}
    write_json(args.out, content)
    if any(name.endswith("_error") for row in rows for name in row):
        sys.exit(1)
    if len(rows) < len(plans_of(args.datasets, args.targets)):
        print("some plans are left: start it again")
        sys.exit(os.EX_TEMPFAIL)


def plans_of(datasets: list[str], targets: list[int]) -> list[tuple[str, str, int]]:
    """Dataset, configuration and memory target of each plan."""
    return [(name, configuration, t) for name in datasets for configuration in CONFIGURATIONS[name] for t in targets]


def distance_from_one(ratio: float) -> float:
    """The same for a ratio and its inverse."""
    return abs(math.log(ratio))


def planned(dataset: str, configuration: str, target: float) -> tuple[dict[str, Any], dict[str, Any]]:
    """Figures of our plan and of nnU-Net's default plan at the same target, and our plan's architecture.

    `most_voxels_per_step` is what nnU-Net's rules allow at any target: its first patch, and 5 % of the data in a batch.
    """
    from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import ExperimentPlanner

    from nnunet_eas.plans.planner import EASUNetPlanner
    from nnunet_eas.plans.summary import summarise

    def plan(planner_class: type[ExperimentPlanner], name: str, target: float):
        planner = planner_class(dataset, target, plans_name=f"{name}_{target}")
        with contextlib.redirect_stdout(io.StringIO()):
            plans = planner.plan_experiment()
        return plans, summarise(plans, configuration, planner.dataset_json)

    row: dict[str, Any] = {"dataset": dataset, "configuration": configuration, "target_gb": target}
    row["most_voxels_per_step"] = plan(EASUNetPlanner, "unlimited", UNLIMITED_GB)[1].voxels_per_step
    for name, planner_class in (("default", ExperimentPlanner), ("eas", EASUNetPlanner)):
        plans, summary = plan(planner_class, name, target)
        row[f"{name}_patch_size"] = list(summary.patch_size)
        row[f"{name}_batch_size"] = summary.batch_size
        row[f"{name}_n_stages"] = len(summary.stages)
        row[f"{name}_voxels_per_step"] = summary.voxels_per_step
        row[f"{name}_counted_activations_bytes"] = summary.memory.activations
        row[f"{name}_counted_peak_bytes"] = summary.memory.peak
        row[f"{name}_counted_peak_bytes_per_voxel"] = summary.memory.peak / summary.voxels_per_step
    for ratio, figure in (("voxels", "voxels_per_step"), ("bytes_per_voxel", "counted_peak_bytes_per_voxel")):
        row[f"{ratio}_ratio_to_default"] = row[f"eas_{figure}"] / row[f"default_{figure}"]
    row["input_channels"], row["num_outputs"] = summary.input_channels, summary.num_outputs
    row["recompute"] = summary.recompute
    row["has_all_voxels"] = summary.voxels_per_step >= row["most_voxels_per_step"]
    return row, json.loads(json.dumps(plans["configurations"][configuration]["architecture"]))


def on_cpu(row: dict[str, Any], architecture: dict[str, Any], limit_gb: float) -> dict[str, Any]:
    """Measures a step in single precision with a batch of two, on as much of the patch as the limit allows."""
    from nnunet_eas.plans.training_memory import training_step_memory

    patch = list(row["eas_patch_size"])
    strides = architecture["arch_kwargs"]["strides"]
    divisors = [math.prod(stage[axis] for stage in strides) for axis in range(len(patch))]
    shape = {**_shape(row), "batch_size": 2}

    def count_step():
        return training_step_memory(architecture, patch_size=patch, precision=torch.float32, **shape)

    count = count_step()
    while count.peak > limit_gb * 1e9:
        edges = [edge // divisor for edge, divisor in zip(patch, divisors, strict=True)]
        longest = edges.index(max(edges))
        if math.prod(edges) // edges[longest] * math.ceil(edges[longest] / 2) < 2:
            break  # a norm needs two voxels
        patch[longest] = math.ceil(edges[longest] / 2) * divisors[longest]
        count = count_step()
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as profile:
        before = train_step(architecture, patch, torch.device("cpu"), **shape)
    events = profile.profiler.kineto_results.events()
    end_of_forward = next(e.start_ns() for e in events if e.name() == "end of forward")
    start = next(e.start_ns() for e in events if e.name() == "step")
    now = peak = kept = 0
    for moment, n in sorted((e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]"):
        now += n if moment > start else 0
        peak = max(peak, now)
        kept = now if moment < end_of_forward else kept
    return {
        "measured_patch_size": patch,
        "measured_batch_size": 2,
        "precision": "float32, eager",
        "counted_activations_bytes": count.activations,
        "measured_kept_bytes": kept,
        "kept_ratio": kept / count.activations,
        "counted_peak_bytes": count.peak,
        "measured_peak_bytes": before + peak,
        "peak_ratio": (before + peak) / count.peak,
    }


def on_cuda(row: dict[str, Any], architecture: dict[str, Any], limit_gb: float) -> dict[str, Any]:
    """Measures the plan's own step, eager and compiled."""
    patch, batch = row["eas_patch_size"], row["eas_batch_size"]
    shape = {**_shape(row), "batch_size": batch}
    result: dict[str, Any] = {"measured_patch_size": patch, "measured_batch_size": batch}
    torch.backends.cudnn.benchmark = True  # as nnU-Net does
    for mode in ("compiled", "eager"):
        torch._dynamo.reset()  # a graph that serves several shapes keeps other maps
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        try:
            train_step(architecture, patch, torch.device("cuda"), compiled=mode == "compiled", **shape)
            result[f"{mode}_peak_bytes"] = torch.cuda.max_memory_allocated()
            result[f"{mode}_reserved_bytes"] = torch.cuda.max_memory_reserved()
        except RuntimeError as error:  # out of memory, which cuDNN reports under another name
            result[f"{mode}_peak_bytes"] = None
            result[f"{mode}_error"] = str(error)[:200]
    if result["eager_peak_bytes"]:
        result["peak_ratio"] = result["eager_peak_bytes"] / row["eas_counted_peak_bytes"]
        result["below_target"] = result["eager_reserved_bytes"] <= row["target_gb"] * 1e9
    return result


def _shape(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("input_channels", "num_outputs", "recompute")}


def build(architecture: dict[str, Any], input_channels: int, num_outputs: int) -> torch.nn.Module:
    """The network of a plan as nnU-Net builds it for training."""
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

    return get_network_from_plans(
        architecture["network_class_name"],
        dict(architecture["arch_kwargs"]),
        architecture["_kw_requires_import"],
        input_channels,
        num_outputs,
        deep_supervision=architecture["arch_kwargs"]["n_stages"] > 2,
    )


def train_step(
    architecture: dict[str, Any],
    patch_size: list[int],
    device: torch.device,
    *,
    input_channels: int,
    num_outputs: int,
    batch_size: int,
    recompute: bool,
    compiled: bool = False,
) -> int:
    """Runs three steps on CUDA, one on the CPU, as nnU-Net's trainer does them.

    Returns:
        Bytes of network, optimiser and data, which exist before a step.
    """
    from nnunet_eas.plans.training_memory import segmentation_loss, segmentation_targets

    network = build(architecture, input_channels, num_outputs).to(device)
    if device.type == "cuda":  # as the trainer does; on the CPU the paths would keep less than is counted
        lay_out(accelerate(network), device)
        use_depthwise_kernels(network)
        fuse_norms_into_their_readers()
    if recompute:
        checkpoint_stages(network)
    optimizer = torch.optim.SGD(network.parameters(), 0.01, momentum=0.99, nesterov=True, weight_decay=3e-5)
    optimizer.state.update({p: {"momentum_buffer": torch.zeros_like(p)} for p in network.parameters()})
    data = torch.randn(batch_size, input_channels, *patch_size, device=device)
    strides = architecture["arch_kwargs"]["strides"]
    targets = [
        target.random_(0, num_outputs).to(device)
        for target in segmentation_targets(strides, patch_size, batch_size, num_outputs, False)
    ]
    loss_function = segmentation_loss(len(targets), False)
    state = [*network.parameters(), *network.buffers(), data, *targets]
    before = sum(t.numel() * t.element_size() for t in state) + sum(p.numel() * 4 for p in network.parameters())
    forward = torch.compile(network) if compiled else network
    on_gpu = device.type == "cuda"
    scaler = torch.amp.GradScaler("cuda", enabled=on_gpu)
    for _ in range(3 if on_gpu else 1):
        optimizer.zero_grad(set_to_none=True)
        with torch.profiler.record_function("step"):
            pass
        with torch.autocast("cuda", enabled=on_gpu):
            outputs = forward(data)
            loss = loss_function(outputs if isinstance(outputs, list) else [outputs], targets)
        with torch.profiler.record_function("end of forward"):
            pass
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(network.parameters(), 12)
        scaler.step(optimizer)
        scaler.update()
    return before


if __name__ == "__main__":
    main()
