"""The tables of the speed page from the JSONs of gpu.py and of the sweep of depthwise convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.markdown import table as rows_of

KERNELS = {"forward": "F.conv3d", "dgrad": "aten", "wgrad": "aten"}
"""What was measured of a depthwise convolution, and how PyTorch's own is called."""


def gpu_table(contents: Sequence[dict[str, Any]]) -> str:
    """One row a training step in 3-D, in the order in which they were measured.

    Args:
        contents: JSONs of gpu.py from the same GPU.
    """
    rows = [
        row
        for content in contents
        for row in content["rows"]
        if row["case"]["kind"] == "steps" and row["case"]["configuration"] == "3d_fullres"
    ]
    heads = ["network", "mode", "milliseconds", "peak memory"]
    found = contents[0]["environment"]
    head = f"{found['gpu']}, PyTorch {found['torch']}: training steps of `3d_fullres`, 80 x 192 x 160, batch 2."
    return "\n".join([head, "", *rows_of(heads, [_cells(row) for row in rows])]) + "\n"


def depthwise_table(content: dict[str, Any]) -> str:
    """One row a map: milliseconds of PyTorch's depthwise convolution and of the fastest tiling of the kernels."""
    measured: dict[tuple[str, str], dict[str, float]] = {}
    pytorchs: dict[tuple[str, str], dict[str, float]] = {}
    for row in content["rows"]:
        of_map = (" x ".join(map(str, row["shape"])), row["dtype"])
        what, variant = row["what"], row["variant"]
        if what in KERNELS and variant == KERNELS[what]:
            pytorchs.setdefault(of_map, {})[what] = row["ms"]
        elif what in KERNELS and not variant.startswith("slices"):
            best = measured.setdefault(of_map, {})
            best[what] = min(row["ms"], best.get(what, row["ms"]))
    heads = ["map (B x C x D x H x W)", "number format", "forward", "gradient of the input", "of the weight"]
    rows = [
        [*of_map, *(f"{pytorchs[of_map][what]:.2f} -> {measured[of_map][what]:.2f}" for what in KERNELS)]
        for of_map in measured
    ]
    version = content["torch"].partition("+")[0]
    head = f"{content['device']}, PyTorch {version}, 3 x 3 x 3: milliseconds in PyTorch -> ours."
    return "\n".join([head, "", *rows_of(heads, rows)]) + "\n"


def mode(case: dict[str, Any]) -> list[str]:
    """The network of a case, and how it was run."""
    modes = ["compiled" if case.get("compiled", True) else "eager"]
    modes += ["bfloat16"] if case.get("trainer", "").endswith("bf16") else []
    modes += [f"layout {case['layout']}"] if "layout" in case else []
    modes += [f"PyTorch's memory budget {case['memory_budget']}"] if "memory_budget" in case else []
    modes += ["recomputed"] if case.get("recompute") else []
    modes += ["each block recomputed"] if case.get("checkpointed") else []
    network = {"default": "default nnU-Net", "resenc_m": "ResEnc-M", "eas": "EAS U-Net"}[case["network"]]
    return [network, ", ".join(modes)]


def _cells(row: dict[str, Any]) -> list[str]:
    if "error" in row:
        return [*mode(row["case"]), f"fails: {row['error'].partition(':')[0]}", ""]
    return [*mode(row["case"]), f"{row['milliseconds']:.0f}", f"{row['peak_bytes'] / 1e9:.1f} GB"]
