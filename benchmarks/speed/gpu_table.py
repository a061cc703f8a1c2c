"""The table of the speed page from the JSON of gpu.py."""

from __future__ import annotations

from typing import Any

from benchmarks.markdown import table as rows_of


def gpu_table(content: dict[str, Any]) -> str:
    """One row a training step in 3-D, in the order in which they were measured."""
    rows = [
        row
        for row in content["rows"]
        if row["case"]["kind"] == "steps" and row["case"]["configuration"] == "3d_fullres"
    ]
    heads = ["network", "mode", "milliseconds", "peak memory"]
    found = content["environment"]
    head = f"{found['gpu']}, PyTorch {found['torch']}: training steps of `3d_fullres`, 80 x 192 x 160, batch 2."
    return "\n".join([head, "", *rows_of(heads, [_cells(row) for row in rows])]) + "\n"


def _cells(row: dict[str, Any]) -> list[str]:
    case = row["case"]
    modes = ["compiled" if case.get("compiled", True) else "eager"]
    modes += ["bfloat16"] if case.get("trainer", "").endswith("bf16") else []
    modes += [f"layout {case['layout']}"] if "layout" in case else []
    modes += [f"PyTorch's memory budget {case['memory_budget']}"] if "memory_budget" in case else []
    modes += ["recomputed"] if case.get("recompute") or case.get("checkpointed") else []
    network = {"default": "default nnU-Net", "resenc_m": "ResEnc-M", "eas": "EAS U-Net"}[case["network"]]
    if "error" in row:
        return [network, ", ".join(modes), f"fails: {row['error'].partition(':')[0]}", ""]
    return [network, ", ".join(modes), f"{row['milliseconds']:.0f}", f"{row['peak_bytes'] / 1e9:.1f} GB"]
