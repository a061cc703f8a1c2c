"""Peak bytes a voxel of a compiled training step, as Inductor's scheduler estimates them, beside the planner's count.

    python -m benchmarks.planning.compiled_peak --out RESULT.json

The networks are those of `benchmarks.planning.kept_bytes`, in half precision. Inductor estimates the memory of each
graph from the lifetimes of its buffers; the loss is not part of the graphs. EAS U-Net is compiled with Inductor's own
settings and with those of the trainer (`nnunet_eas.gpu.compiling`). No code is generated: the CPU's graphs, in which
autocast to bfloat16 stands for CUDA's, are scheduled and then run one operation at a time. The difference of two batch
sizes is what a voxel takes. A second call estimates what is missing.
"""

from __future__ import annotations

import argparse
import itertools
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from functorch.compile import make_boxed_func, min_cut_rematerialization_partition
from torch._dynamo.backends.common import aot_autograd
from torch._inductor import config, memory
from torch._inductor.compile_fx import compile_fx_inner
from torch._inductor.decomposition import select_decomp_table

from benchmarks import environment
from benchmarks.earlier_rows import earlier_rows
from benchmarks.planning.kept_bytes import BATCHES, NETWORKS, knee
from benchmarks.planning.training_memory import build
from nnunet_eas.gpu import checkpoint_stages, compiling
from nnunet_eas.network.eas_unet import ARCH_FORMAT
from nnunet_eas.plans.training_memory import training_step_memory
from nnunet_eas.support.files import write_json

SETTINGS = {"inductor": {"realize_opcount_threshold": 30}, "trainer": compiling.SETTINGS}  # 30: PyTorch's on CUDA
ENLARGED = 16  # times: the patch of kept_bytes has so few voxels that the gradients of weights decide
LARGE_BATCHES = (1000, 1001)  # counted: the same, at no cost


def main() -> None:
    """Estimates everything and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the JSON to write")
    parser.add_argument("--configurations", nargs="+", default=["2d", "3d_fullres"])
    args = parser.parse_args()
    measured_as = {"arch_format": ARCH_FORMAT}
    rows = earlier_rows(args.out, measured_as)
    done = [(row["configuration"], row["network"], row["settings"]) for row in rows]
    for configuration in args.configurations:
        architectures, patch = knee(configuration)
        patch[-1] *= ENLARGED
        for network, settings in itertools.product(NETWORKS, SETTINGS):
            if (configuration, network, settings) in done or (network, settings) == ("default", "trainer"):
                continue
            row = {"configuration": configuration, "network": network, "settings": settings}
            row |= peaks(architectures[network], network, patch, SETTINGS[settings])
            rows.append(row)
            print(row, flush=True)
            write_json(args.out, {**measured_as, "rows": rows, "environment": environment.describe()})


def peaks(architecture: dict[str, Any], name: str, patch: list[int], settings: dict[str, int]) -> dict[str, float]:
    """Bytes a voxel: the estimate of a compiled step, and the planner's count of an eager one."""
    estimates = [
        estimated_peak(_network(architecture, name), torch.randn(batch, 1, *patch), settings) for batch in BATCHES
    ]
    step = {"patch_size": patch, "input_channels": 1, "num_outputs": 3, "recompute": name == "eas, recomputed"}
    counts = [training_step_memory(architecture, batch_size=n, **step).peak for n in LARGE_BATCHES]
    return {
        "estimated_compiled": (estimates[1] - estimates[0]) / (BATCHES[1] - BATCHES[0]) / math.prod(patch),
        "counted_eager": (counts[1] - counts[0]) / (LARGE_BATCHES[1] - LARGE_BATCHES[0]) / math.prod(patch),
    }


def _network(architecture: dict[str, Any], name: str) -> torch.nn.Module:
    torch.manual_seed(0)
    network = build(architecture, 1, 3).train()
    if name == "eas, recomputed":
        checkpoint_stages(network)
    return network


def estimated_peak(network: torch.nn.Module, data: torch.Tensor, settings: dict[str, int]) -> int:
    """Bytes of the larger one of the two graphs of a step."""
    torch._dynamo.reset()
    peaks: list[int] = []
    compile_graph = partial(_estimated, peaks)
    backend = aot_autograd(
        fw_compiler=compile_graph,
        bw_compiler=partial(compile_graph, is_backward=True),
        partition_fn=min_cut_rematerialization_partition,
        decompositions=select_decomp_table(),
    )
    with config.patch(settings), torch.autocast("cpu", dtype=torch.bfloat16):
        outputs = torch.compile(network, backend=backend, fullgraph=True)(data)
        sum(output.float().square().mean() for output in outputs).backward()
    assert len(peaks) == 2
    return max(peaks)


class _Estimated(Exception):
    """Ends a compilation whose memory is known."""


def _estimated(
    peaks: list[int], graph: torch.fx.GraphModule, inputs: list[torch.Tensor], is_backward: bool = False
) -> Callable[..., Any]:
    """The graph itself, after its peak was added to `peaks`."""
    ordered = memory.reorder_for_peak_memory
    number = len(peaks)

    def estimate(nodes: Any, buffers: Any, fused: Any, graph_inputs: Any, outputs: Any) -> None:
        best = ordered(nodes, buffers, fused, graph_inputs, outputs)
        _, freeable = memory.prepare_planning_info(best, buffers, fused, graph_inputs, outputs)
        peaks.append(memory.estimate_peak_memory(best, freeable, outputs)[0])
        raise _Estimated

    memory.reorder_for_peak_memory = estimate
    try:
        compile_fx_inner(graph, inputs, is_backward=is_backward)
    except Exception:  # Inductor wraps what is raised in it
        if len(peaks) == number:
            raise
    finally:
        memory.reorder_for_peak_memory = ordered
    return make_boxed_func(graph.forward)


if __name__ == "__main__":
    main()
