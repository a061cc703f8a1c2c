"""Counted against measured memory of a training step, for the planner's own plans; and what the default plans take.

    python benchmarks/training_memory.py --work DIR --out RESULT.json [--device cuda]

Plans EAS U-Nets for datasets known by their geometry alone, at several memory targets, and runs real training steps.

On the CPU a step runs in single precision and without autocast, as nnU-Net does there. What the allocator hands out is
recorded by PyTorch's profiler: `kept` is what is alive at the end of the forward pass, `peak` the most in a step. A
step of 80 GB does not fit every machine, so that a batch of two runs, and the patch is halved along its longest axis
until the step's count is below --limit-gb or the coarsest map has two voxels left. `measured_patch_size` says what ran.

`compiled_kept_ratio` is what a compiled forward pass keeps of that.

On CUDA the plan's own step runs as nnU-Net's trainer does it, with autocast, eager and compiled, and `peak` is
torch.cuda.max_memory_allocated: it has to stay within 10 % of the count, `reserved_bytes` below the target.
A second call does only what is missing.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import math
import os
from pathlib import Path
from typing import Any
from unittest import mock

import environment
import torch
from fingerprints import write_geometry
from host_commands import write_json

PLANS = {  # dataset: (configuration, targets in GB)
    "Dataset510_Knee": (("2d", (8, 16, 24, 40, 80)), ("3d_fullres", (8, 16, 24, 40, 80))),
    "Dataset511_Brain": (("3d_fullres", (8,)),),
    "Dataset512_Heart": (("3d_fullres", (8, 24)),),
    "Dataset513_Abdomen": (("3d_fullres", (8,)), ("2d", (8,))),
    "Dataset514_Photographs": (("2d", (8, 24)),),
}


def main() -> None:
    """Plans, measures what is missing and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for plans and for what is measured already")
    parser.add_argument("--out", type=Path, required=True, help="the JSON to write")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--limit-gb", type=float, default=2.0, help="for the CPU: the largest step to run")
    args = parser.parse_args()
    os.environ["nnUNet_raw"], os.environ["nnUNet_preprocessed"] = (
        str(args.work / "raw"),
        str(args.work / "preprocessed"),
    )
    os.environ.setdefault("nnUNet_results", str(args.work / "results"))
    measured_file = args.work / f"measured_{args.device}.json"
    measured = json.loads(measured_file.read_text()) if measured_file.is_file() else {}
    rows = []
    for dataset, configurations in PLANS.items():
        write_geometry(args.work / "raw", args.work / "preprocessed", dataset)
        for configuration, targets in configurations:
            for target in targets:
                row, architecture = planned(dataset, configuration, target)
                key = json.dumps([row, architecture, args.limit_gb])
                if key not in measured:
                    measure = on_cuda if args.device == "cuda" else on_cpu
                    measured[key] = measure(row, architecture, args.limit_gb)
                    write_json(measured_file, measured)
                is_first = target == targets[0]  # the ratio is the network's, not the target's
                if is_first and args.device == "cpu" and "compiled_kept_ratio" not in measured[key]:
                    measured[key]["compiled_kept_ratio"] = compiled_kept_ratio(row, architecture)
                    write_json(measured_file, measured)
                rows.append({**row, **measured[key]})
                print(
                    {k: v for k, v in rows[-1].items() if "ratio" in k or k in ("dataset", "configuration")}, flush=True
                )
    summary = {
        "plans": len(rows),
        "worst_activations_ratio": max((r["kept_ratio"] for r in rows if "kept_ratio" in r), key=away, default=None),
        "most_compiled_kept_ratio": max(
            (r["compiled_kept_ratio"] for r in rows if "compiled_kept_ratio" in r), default=None
        ),
        "worst_peak_ratio": max((r["peak_ratio"] for r in rows if "peak_ratio" in r), key=away, default=None),
        "least_voxels_ratio_to_default": min(r["voxels_ratio_to_default"] for r in rows),
        "most_voxels_ratio_to_default": max(r["voxels_ratio_to_default"] for r in rows),
    }
    print(summary)
    content = {"device": args.device, "summary": summary, "rows": rows, "environment": environment.describe()}
    write_json(args.out, content)


def away(ratio: float) -> float:
    """How far a ratio is from 1."""
    return abs(math.log(ratio))


def planned(dataset: str, configuration: str, target: float) -> tuple[dict, dict]:
    """Our plan and nnU-Net's default one at the same target, in figures; and our plan's architecture."""
    from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import ExperimentPlanner

    from nnunet_eas.plans.planner import EASUNetPlanner
    from nnunet_eas.plans.summary import summarise

    summaries = {}
    for name, planner_class in (("eas", EASUNetPlanner), ("default", ExperimentPlanner)):
        planner = planner_class(dataset, target, plans_name=f"{name}_{target}")
        with contextlib.redirect_stdout(io.StringIO()):
            plans = planner.plan_experiment()
        summaries[name] = summarise(plans, configuration, planner.dataset_json)
        if name == "eas":
            architecture = json.loads(json.dumps(plans["configurations"][configuration]["architecture"]))
    row: dict = {"dataset": dataset, "configuration": configuration, "target_gb": target}
    for name, summary in summaries.items():
        row[f"{name}_patch_size"] = list(summary.patch_size)
        row[f"{name}_batch_size"] = summary.batch_size
        row[f"{name}_n_stages"] = len(summary.stages)
        row[f"{name}_voxels_per_step"] = summary.voxels_per_step
        row[f"{name}_counted_activations_bytes"] = summary.memory.activations
        row[f"{name}_counted_peak_bytes"] = summary.memory.peak
        row[f"{name}_counted_peak_bytes_per_voxel"] = summary.memory.peak / summary.voxels_per_step
    row["voxels_ratio_to_default"] = row["eas_voxels_per_step"] / row["default_voxels_per_step"]
    row["bytes_per_voxel_ratio_to_default"] = (
        row["eas_counted_peak_bytes_per_voxel"] / row["default_counted_peak_bytes_per_voxel"]
    )
    row["input_channels"], row["num_outputs"] = summaries["eas"].input_channels, summaries["eas"].num_outputs
    return row, architecture


def on_cpu(row: dict, architecture: dict, limit_gb: float) -> dict:
    """A real step in single precision at a batch of two, on as much of the patch as the limit allows."""
    from nnunet_eas.plans.training_memory import training_step_memory

    patch = list(row["eas_patch_size"])
    strides = architecture["arch_kwargs"]["strides"]
    divisors = [math.prod(stage[axis] for stage in strides) for axis in range(len(patch))]
    shape: dict = {"input_channels": row["input_channels"], "num_outputs": row["num_outputs"], "batch_size": 2}

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
    with as_on_a_gpu(), torch.profiler.profile(activities=activities, profile_memory=True) as profile:
        before = train_step(architecture, patch, torch.device("cpu"), **shape)
    events = profile.profiler.kineto_results.events()
    end_of_forward = next(e.start_ns() for e in events if e.name() == "end of forward")
    start = next(e.start_ns() for e in events if e.name() == "step")
    now = peak = kept = 0
    for time, n in sorted((e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]"):
        now += n if time > start else 0
        peak = max(peak, now)
        kept = now if time < end_of_forward else kept
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


def as_on_a_gpu() -> Any:
    """Without the network's own ways on the CPU: plans are made for a GPU."""
    # a Mock would note its arguments, and so keep them alive
    return mock.patch("nnunet_eas.network.eager_cpu.runs_on", new=lambda _: False)  # noqa: PT008


def compiled_kept_ratio(row: dict, architecture: dict) -> float:
    """What a compiled forward pass keeps, over what the eager one keeps: what grows with the batch.

    Torch's partitioner decides what to keep and what to compute again, for Inductor as well; no code is generated. On
    a patch of two voxels in the coarsest map, as the ratio does not depend on the patch.
    """
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

    from nnunet_eas.plans.training_memory import kept_bytes

    kwargs = architecture["arch_kwargs"]
    patch = [math.prod(stage[axis] for stage in kwargs["strides"]) for axis in range(len(row["eas_patch_size"]))]
    patch[-1] *= 2
    channels, outputs = row["input_channels"], row["num_outputs"]
    network = get_network_from_plans(
        architecture["network_class_name"],
        dict(kwargs),
        architecture["_kw_requires_import"],
        channels,
        outputs,
        deep_supervision=kwargs["n_stages"] > 2,
    )
    grows = {}
    for mode in ("eager", "compiled"):
        torch._dynamo.reset()
        forward = torch.compile(network, backend="aot_eager_decomp_partition") if mode == "compiled" else network
        kept = []
        for batch_size in (2, 4):
            with as_on_a_gpu(), kept_bytes(apart_from=[*network.parameters(), *network.buffers()]) as bytes_of:
                outputs_of_step = forward(torch.randn(batch_size, channels, *patch))
            kept.append(sum(bytes_of.values()))
            del outputs_of_step
        grows[mode] = kept[1] - kept[0]
    return grows["compiled"] / grows["eager"]


def on_cuda(row: dict, architecture: dict, limit_gb: float) -> dict:
    """The plan's own step, eager and compiled."""
    shape = {
        "input_channels": row["input_channels"],
        "num_outputs": row["num_outputs"],
        "batch_size": row["eas_batch_size"],
    }
    result: dict = {"measured_patch_size": row["eas_patch_size"], "measured_batch_size": row["eas_batch_size"]}
    torch.backends.cudnn.benchmark = True  # as nnU-Net
    for mode in ("compiled", "eager"):
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        try:
            train_step(architecture, row["eas_patch_size"], torch.device("cuda"), compiled=mode == "compiled", **shape)
            result[f"{mode}_peak_bytes"] = torch.cuda.max_memory_allocated()
            result[f"{mode}_reserved_bytes"] = torch.cuda.max_memory_reserved()
        except torch.cuda.OutOfMemoryError:
            result[f"{mode}_peak_bytes"] = None
    if result["eager_peak_bytes"]:
        result["peak_ratio"] = result["eager_peak_bytes"] / row["eas_counted_peak_bytes"]
        result["below_target"] = result["eager_reserved_bytes"] <= row["target_gb"] * 1e9
    return result


def train_step(
    architecture: dict,
    patch_size: list[int],
    device: torch.device,
    *,
    input_channels: int,
    num_outputs: int,
    batch_size: int,
    compiled: bool = False,
) -> int:
    """Three steps on CUDA, one on the CPU, as nnU-Net's trainer does them.

    Returns:
        Bytes of network, optimiser and data, which are there before a step.
    """
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

    from nnunet_eas.plans.training_memory import segmentation_loss, segmentation_targets

    kwargs = architecture["arch_kwargs"]
    network = get_network_from_plans(
        architecture["network_class_name"],
        dict(kwargs),
        architecture["_kw_requires_import"],
        input_channels,
        num_outputs,
        deep_supervision=kwargs["n_stages"] > 2,
    ).to(device)
    optimizer = torch.optim.SGD(network.parameters(), 0.01, momentum=0.99, nesterov=True, weight_decay=3e-5)
    optimizer.state.update({p: {"momentum_buffer": torch.zeros_like(p)} for p in network.parameters()})
    data = torch.randn(batch_size, input_channels, *patch_size, device=device)
    targets = [
        target.random_(0, num_outputs).to(device)
        for target in segmentation_targets(kwargs["strides"], patch_size, batch_size, num_outputs, False)
    ]
    loss_function = segmentation_loss(len(targets), False)
    state = [*network.parameters(), *network.buffers(), data, *targets]
    before = sum(t.numel() * t.element_size() for t in state) + sum(p.numel() * 4 for p in network.parameters())
    forward = torch.compile(network) if compiled else network
    scaler = torch.amp.GradScaler("cuda") if device.type == "cuda" else None
    for _ in range(3 if device.type == "cuda" else 1):
        optimizer.zero_grad(set_to_none=True)
        with torch.profiler.record_function("step"):
            pass
        with torch.autocast("cuda") if scaler else contextlib.nullcontext():
            outputs = forward(data)
            loss = loss_function(outputs if isinstance(outputs, list) else [outputs], targets)
        with torch.profiler.record_function("end of forward"):
            pass
        (scaler.scale(loss) if scaler else loss).backward()
        if scaler:
            scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(network.parameters(), 12)
        if scaler:
            scaler.step(optimizer)
            scaler.update()
        else:
            optimizer.step()
    return before


if __name__ == "__main__":
    main()
