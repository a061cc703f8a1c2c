"""The tables of docs/explanation/memory.md from the JSONs of training_memory.py, kept_bytes.py and compiled_peak.py."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

from benchmarks.markdown import table
from benchmarks.speed.gpu import CASES
from benchmarks.speed.gpu_table import is_step_in_3d, mode
from benchmarks.speed.knee_plan import DATASET_JSON, architectures


def voxels_table(content: dict[str, Any]) -> str:
    """A row for each configuration, a column for each memory target: our plan's voxels a step over the default plan's.

    Args:
        content: The JSON of training_memory.py.
    """
    rows = content["rows"]
    targets = sorted({row["target_gb"] for row in rows})
    found = {(row["dataset"], row["configuration"], row["target_gb"]): row for row in rows}
    cells = [
        [f"{dataset.partition('_')[2]} {configuration}"]
        + [_voxels(found.get((dataset, configuration, target))) for target in targets]
        for dataset, configuration in dict.fromkeys((row["dataset"], row["configuration"]) for row in rows)
    ]
    return "\n".join(table(["data, configuration", *(f"{target} GB" for target in targets)], cells)) + "\n"


def fit(content: dict[str, Any]) -> str:
    """How far the count is off, in a sentence.

    Args:
        content: The JSON of training_memory.py.
    """
    rows, targets = content["rows"], sorted({row["target_gb"] for row in content["rows"]})
    off = {what: max(abs(row[f"{what}_ratio"] - 1) for row in rows) for what in ("kept", "peak")}
    return (
        f"Against real steps on a CPU ({len(rows)} plans of {len({row['dataset'] for row in rows})} datasets for "
        f"{targets[0]} to {targets[-1]} GB, with patches cut to fit), what is kept for the backward pass was at most "
        f"{100 * off['kept']:.1f} % off, and the peak at most {100 * off['peak']:.1f} %.\n"
    )


def gpu_fit(contents: list[dict[str, Any]]) -> str:
    """A row for each training step of default nnU-Net and EAS U-Net in 3-D: the counted and the measured peak.

    Args:
        contents: JSONs of gpu.py.
    """
    from nnunet_eas.plans.training_memory import training_step_memory

    patch, batch = CASES["3d_fullres"]
    step = {"patch_size": patch, "batch_size": batch, "input_channels": 1, "num_outputs": len(DATASET_JSON["labels"])}

    @cache
    def counted_peak(network: str, recompute: bool) -> int:
        architecture = architectures("3d_fullres", patch, networks=[network])[network]
        return training_step_memory(architecture, **step, recompute=recompute).peak

    cells = []
    for content, row in ((each, row) for each in contents for row in each["rows"]):
        case = row["case"]
        if not is_step_in_3d(row) or "error" in row or case["network"] not in ("default", "eas"):
            continue
        of_the_paper = case["network"] == "eas" and "arch_format" not in content  # there was no other network
        counted = counted_peak("eas_paper" if of_the_paper else case["network"], case.get("recompute", False))
        off = 100 * (row["peak_bytes"] / counted - 1)
        cells.append([*mode(case), f"{counted / 1e9:.2f} GB", f"{row['peak_bytes'] / 1e9:.2f} GB", f"{off:+.0f} %"])
    return "\n".join(table(["network", "mode", "counted peak", "measured peak", "difference"], cells)) + "\n"


def kept_table(content: dict[str, Any]) -> str:
    """A row for each mode: bytes a voxel that each network keeps for the backward pass.

    Args:
        content: The JSON of kept_bytes.py.
    """
    networks = ("default", "eas", "eas, recomputed")
    cells = [
        [f"{row['configuration']}, {row['precision']} precision, {row['mode']}", *(f"{row[n]:.0f}" for n in networks)]
        for row in content["rows"]
    ]
    return "\n".join(table(["step", "default nnU-Net", "EAS U-Net", "EAS U-Net, recomputed"], cells)) + "\n"


def compiled_table(content: dict[str, Any]) -> str:
    """A row for each network: peak bytes a voxel of an eager step and of compiled ones.

    Args:
        content: The JSON of compiled_peak.py.
    """
    titles = {"default": "default nnU-Net", "eas": "EAS U-Net", "eas, recomputed": "EAS U-Net, recomputed"}
    found = {(row["configuration"], row["network"], row["settings"]): row for row in content["rows"]}
    cells = []
    for configuration, network in dict.fromkeys((row["configuration"], row["network"]) for row in content["rows"]):
        rows = [found.get((configuration, network, settings)) for settings in ("inductor", "trainer")]
        counted = next(row["counted_eager"] for row in rows if row is not None)
        estimates = ["" if row is None else f"{row['estimated_compiled']:.0f}" for row in rows]
        cells.append([f"{configuration}, {titles[network]}", f"{counted:.0f}", *estimates])
    columns = ["step", "eager, counted", "compiled, PyTorch's settings", "compiled, the trainer's settings"]
    return "\n".join(table(columns, cells)) + "\n"


def _voxels(row: dict[str, Any] | None) -> str:
    """The ratio, in brackets where our plan has as many voxels as nnU-Net's rules allow."""
    if row is None:
        return ""
    ratio = f"{math.floor(100 * row['voxels_ratio_to_default']) / 100:.2f}"
    return f"({ratio})" if row["has_all_voxels"] else ratio
