"""The tables of the speed page from the JSONs of gpu.py and of the sweep of depthwise convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.markdown import table as rows_of

KERNELS = {"forward": "F.conv3d", "wgrad": "aten"}
"""The passes of a depthwise convolution in the table, and the variant that is PyTorch's own."""

BYTES = {"float16": 2, "bfloat16": 2, "float32": 4}


def gpu_table(contents: Sequence[dict[str, Any]]) -> str:
    """One row a training step in 3-D, in the order in which they were measured.

    Args:
        contents: JSONs of gpu.py from the same GPU.
    """
    rows = [row for content in contents for row in content["rows"] if is_step_in_3d(row)]
    heads = ["network", "mode", "milliseconds", "peak memory"]
    found = contents[0]["environment"]
    head = f"{found['gpu']}, PyTorch {found['torch']}: training steps of `3d_fullres`, 80 x 192 x 160, batch 2."
    return "\n".join([head, "", *rows_of(heads, [_cells(row) for row in rows])]) + "\n"


def depthwise_table(content: dict[str, Any]) -> str:
    """One row a map: milliseconds of PyTorch's depthwise convolution, and of our kernels with the tiling they take."""
    from nnunet_eas.gpu.depthwise_operators import tiling_of

    cells: dict[tuple[str, str], dict[str, float]] = {}
    for row in content["rows"]:
        what, variant = row["what"], row["variant"].removesuffix(" (default)")
        if what not in KERNELS:
            continue
        tiling = tiling_of(row["shape"], BYTES[row["dtype"]], (1, 1, 1), what == "wgrad")
        ours = f"b{tiling.block} v{tiling.vector} z{tiling.steps} w{tiling.num_warps}"
        ours += f" c{tiling.chunks}" if what == "wgrad" else ""
        if variant in (KERNELS[what], ours):
            of_map = cells.setdefault((" x ".join(map(str, row["shape"])), row["dtype"]), {})
            of_map[what if variant == ours else f"{what} in PyTorch"] = row["ms"]
    heads = ["map (B x C x D x H x W)", "number format", "forward", "gradient of the weight"]
    rows = [
        [*of_map, *(f"{found[f'{what} in PyTorch']:.2f} -> {found[what]:.2f}" for what in KERNELS)]
        for of_map, found in cells.items()
    ]
    version = content["torch"].partition("+")[0]
    head = f"{content['device']}, PyTorch {version}, 3 x 3 x 3: milliseconds in PyTorch -> ours."
    return "\n".join([head, "", *rows_of(heads, rows)]) + "\n"


def is_step_in_3d(row: dict[str, Any]) -> bool:
    """Whether a row of gpu.py is a training step of 3d_fullres."""
    return row["case"]["kind"] == "steps" and row["case"]["configuration"] == "3d_fullres"


def mode(case: dict[str, Any]) -> list[str]:
    """The network of a case, and how it was run."""
    modes = ["compiled" if case.get("compiled", True) else "eager"]
    modes += ["bfloat16"] if case.get("trainer", "").endswith("bf16") else []
    modes += [case.get("layout", "channels-last")] if case["network"] == "eas" else []
    modes += ["PyTorch's depthwise"] if case.get("depthwise") == "pytorch" else []
    modes += [f"PyTorch's memory budget {case['memory_budget']}"] if "memory_budget" in case else []
    modes += ["recomputed"] if case.get("recompute") else []
    modes += ["each block recomputed"] if case.get("checkpointed") else []
    network = {"default": "default nnU-Net", "resenc_m": "ResEnc-M", "eas": "EAS U-Net"}[case["network"]]
    return [network, ", ".join(modes)]


def _cells(row: dict[str, Any]) -> list[str]:
    if "error" in row:
        return [*mode(row["case"]), f"fails: {row['error'].partition(':')[0]}", ""]
    return [*mode(row["case"]), f"{row['milliseconds']:.0f}", f"{row['peak_bytes'] / 1e9:.1f} GB"]
