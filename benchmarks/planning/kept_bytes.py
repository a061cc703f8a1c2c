"""Bytes a voxel that a forward pass holds for the backward pass: default nnU-Net and EAS U-Net, in every mode.

    python -m benchmarks.planning.kept_bytes --out RESULT.json

Both networks have the topology of nnU-Net's default plan for a knee (Dataset510_Knee of
`benchmarks.planning.training_memory`, 8 GB). PyTorch's profiler records what the CPU's allocator holds when the forward
pass has ended; the difference of two batch sizes is what a sample takes. Compiled means PyTorch's partitioner, also
Inductor's, which decides what is kept and what is computed again; no code is generated. Half precision is the CPU's
autocast in bfloat16, which resizes volumes in single precision, unlike CUDA's. A second call measures what is missing.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import io
import itertools
import math
import os
import tempfile
from pathlib import Path
from typing import Any

import torch

from benchmarks import environment
from benchmarks.commands import folder_variables
from benchmarks.earlier_rows import earlier_rows
from benchmarks.planning.fingerprints import write_geometry
from benchmarks.planning.training_memory import build
from nnunet_eas.gpu import checkpoint_stages
from nnunet_eas.network.eas_unet import ARCH_FORMAT
from nnunet_eas.support.files import write_json

DATASET = "Dataset510_Knee"
NETWORKS = ("default", "eas", "eas, recomputed")
PRECISIONS = {"single": None, "half": torch.bfloat16}
MODES = ("eager", "compiled")
BATCHES = (2, 4)
ORDER = [*PRECISIONS, *MODES]


def main() -> None:
    """Measures everything and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the JSON to write")
    parser.add_argument("--configurations", nargs="+", default=["2d", "3d_fullres"])
    args = parser.parse_args()
    measured_as = {"arch_format": ARCH_FORMAT}
    rows = earlier_rows(args.out, measured_as)
    done = [(row["configuration"], row["precision"], row["mode"]) for row in rows]
    for configuration in args.configurations:
        architectures, patch = knee(configuration)
        for precision, mode in itertools.product(PRECISIONS, MODES):
            if (configuration, precision, mode) in done:
                continue
            row: dict[str, Any] = {"configuration": configuration, "precision": precision, "mode": mode}
            for name in NETWORKS:
                held = [held_bytes(architectures[name], name, patch, n, PRECISIONS[precision], mode) for n in BATCHES]
                row[name] = (held[1] - held[0]) / (BATCHES[1] - BATCHES[0]) / math.prod(patch)
            rows.append(row)
            rows.sort(key=lambda row: (row["configuration"], *map(ORDER.index, (row["precision"], row["mode"]))))
            print({key: round(value) if isinstance(value, float) else value for key, value in row.items()}, flush=True)
            most = max(row["eas, recomputed"] / row["default"] for row in rows)
            content = {"rows": rows, "most_ratio_to_default": most, "environment": environment.describe()}
            write_json(args.out, measured_as | content)


def knee(configuration: str) -> tuple[dict[str, dict[str, Any]], list[int]]:
    """The architectures by network, and a patch with two voxels in the coarsest map: bytes grow with the patch."""
    from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import ExperimentPlanner

    from nnunet_eas.plans.translation import translate_architecture

    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        os.environ.update(folder_variables(Path(folder)))
        write_geometry(Path(folder, "raw"), Path(folder, "preprocessed"), DATASET)
        planned = ExperimentPlanner(DATASET, 8).plan_experiment()["configurations"][configuration]
    strides = planned["architecture"]["arch_kwargs"]["strides"]
    patch = [math.prod(int(stage[axis]) for stage in strides) for axis in range(len(strides[0]))]
    patch[-1] *= 2
    eas = translate_architecture(planned)
    return {"default": planned["architecture"], "eas": eas, "eas, recomputed": eas}, patch


def held_bytes(
    architecture: dict[str, Any], name: str, patch: list[int], batch: int, autocast: torch.dtype | None, mode: str
) -> int:
    """Bytes that a forward pass allocates and that are held with its outputs."""
    torch._dynamo.reset()
    torch.manual_seed(0)
    network = build(architecture, 1, 3)
    if name == "eas, recomputed":
        checkpoint_stages(network)
    forward = torch.compile(network, backend="aot_eager_decomp_partition") if mode == "compiled" else network
    data = torch.randn(batch, 1, *patch)
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.autocast("cpu", dtype=autocast, enabled=autocast is not None):
        if mode == "compiled":
            forward(data)  # compiles, which allocates on its own account
        gc.collect()  # what was allocated before the profile must not be freed during it: it would be subtracted
        gc.disable()
        with torch.profiler.profile(activities=activities, profile_memory=True) as profile:
            outputs = forward(data)
        gc.enable()
    held = sum(event.nbytes() for event in profile.profiler.kineto_results.events() if event.name() == "[memory]")
    del outputs
    return held


if __name__ == "__main__":
    main()
