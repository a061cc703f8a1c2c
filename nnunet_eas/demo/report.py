"""The demo's end: a table for the eye, a JSON file for programs."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from typing import Any

from nnunet_eas.evaluation import metrics

_DEFINITIONS = {
    "dice": metrics.dice,
    "precision": metrics.precision,
    "recall": metrics.recall,
    "hd_mm": metrics.hausdorff_mm,
}


def table(mean: dict[str, dict[str, float | None]], cases: int) -> str:
    """Mean over the test knees of each number, a line per structure."""
    columns = (
        ("dice", "DSC %", 100, 1),
        ("precision", "precision %", 100, 1),
        ("recall", "recall %", 100, 1),
        ("hd_mm", "Hausdorff mm", 1, 2),
    )
    title = f"mean of {cases} unseen knees"
    width = max(len(title), *(len(name) for name in mean))
    lines = [f"{title:<{width}}" + "".join(f"  {head:>12}" for _, head, _, _ in columns)]
    for structure, numbers in mean.items():
        cells = []
        for key, _, factor, digits in columns:
            value = numbers[key]
            cells.append(f"  {'-' if value is None else format(value * factor, f'.{digits}f'):>12}")
        lines.append(f"{structure.replace('_', ' '):<{width}}" + "".join(cells))
    return "\n".join(lines)


def definitions() -> dict[str, str]:
    """What each number in the JSON file is, in the words of the function that computes it."""
    return {name: " ".join((function.__doc__ or "").split()) for name, function in _DEFINITIONS.items()}


def environment(device: str) -> dict[str, Any]:
    """Versions and machine, without anything that names a person or a place."""
    packages = ("nnunet-eas", "nnunetv2", "torch", "numpy", "scipy", "SimpleITK")
    return {
        "device": device,
        "python": platform.python_version(),
        "system": platform.system(),
        "machine": platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        **{package: metadata.version(package) for package in packages},
    }
