"""Result files of the runner with numbers that can be worked out: three networks, two folds, two seeds."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

from benchmarks.compare import result_files

DATASET = "Dataset901_Blobs"
LABELS = ("core", "shell")
FOLDS = {0: ("a", "b"), 1: ("c", "d")}
TITLES = {"default": "default nnU-Net", "eas": "EAS U-Net", "unet": "U-Net"}

# Dice of core and shell by seed and case; in c the shell is in neither mask. Means over seeds: core 0.85, 0.6, 0.7,
# 0.5, shell 0.6, 0.7, undefined, 0.7, both 0.725, 0.65, undefined, 0.6.
DICE = {
    0: {"a": (0.8, 0.6), "b": (0.6, 0.6), "c": (0.7, None), "d": (0.5, 0.7)},
    1: {"a": (0.9, 0.6), "b": (0.6, 0.8), "c": (0.7, None), "d": (0.5, 0.7)},
}

# by how much each network differs from the default one: the same in both structures and seeds
OFFSETS = {
    "default": {"a": 0.0, "b": 0.0, "c": 0.0, "d": 0.0},
    "eas": {"a": 0.04, "b": -0.02, "c": 0.01, "d": 0.06},
    "unet": {"a": -0.01, "b": -0.02, "c": -0.03, "d": -0.04},
}

PLAN = {"batch_size": 12, "patch_size": [56, 40], "architecture": {"arch_kwargs": {"n_stages": 4}}}
CODE = {"sources": "0123456789abcdef", "versions": {"torch": "2.15.0"}}
SCHEDULE = {"epochs": 20, "iterations": 25, "val_iterations": 2}


def result(
    network: str, fold: int, seed: int, offsets: dict[str, float] | None = None, **recipe: Any
) -> dict[str, Any]:
    """One result as the runner writes it.

    Args:
        network: Its name in networks.py.
        fold: 0 or 1.
        seed: 0 or 1.
        offsets: Added to the default network's Dice of each case.
        **recipe: Values that differ in the recipe.
    """
    offsets = OFFSETS[network] if offsets is None else offsets
    full = {
        "dataset": DATASET,
        "data": "data1",
        "configuration": "2d",
        "arm": network,
        "trainer": f"{network}Trainer",
        "plan": PLAN,
        "fold": fold,
        "seed": seed,
        "schedule": SCHEDULE,
        "code": CODE,
        **recipe,
    }
    return {
        "recipe": deepcopy(full),
        "key": result_files.key(full),
        "planned": {"batch_size": 12, "patch_size": [56, 40]},
        "device": "cpu",
        "resumed": False,
        "trainings_at_a_time": 1,
        "threads": 1,
        "step_seconds_median": 0.25,
        "epochs": [{"epoch": 0, "iterations": 25, "seconds": 6.25, "step_seconds_median": 0.25}],
        "tolerance_mm": 1.0,
        "definitions": {"dice": "2 |R and P| / (|R| + |P|)"},
        "environment": {"processor": "Some CPU", "gpu": None, "torch": "2.15.0"},
        "per_case": [
            _record(case, label, dice, offsets[case])
            for case in FOLDS[fold]
            for label, dice in zip(LABELS, DICE[seed][case], strict=True)
        ],
    }


def _record(case: str, label: str, dice: float | None, offset: float) -> dict[str, Any]:
    """Distances are undefined in the core of a and d too, as where nothing was found."""
    score = None if dice is None else dice + offset
    distance = None if dice is None or (case, label) in (("a", "core"), ("d", "core")) else 4.0
    overlaps = dict.fromkeys(("dice", "iou", "precision", "recall", "nsd"), score)
    distances = dict.fromkeys(("hd_mm", "hd95_mm", "assd_mm"), distance)
    return {"case": case, "label": label, **overlaps, **distances}


def results(*networks: str, **changes: Any) -> list[dict[str, Any]]:
    """All folds and seeds of some networks, in the order in which the runner makes them."""
    return [result(name, fold, seed, **changes) for seed in DICE for fold in FOLDS for name in networks]


def write_results(folder: Path, *networks: str, **changes: Any) -> list[Path]:
    """The files of `results`."""
    written = results(*networks, **changes)
    for one in written:
        result_files.write(folder, one)
    return [folder / result_files.file_name(one["recipe"]) for one in written]


def cost(network: str, **changes: Any) -> dict[str, Any]:
    """A network's cost as costs.py writes it, of the results' plan and code."""
    return {
        "dataset": DATASET,
        "configuration": "2d",
        "arm": network,
        "device": "cpu",
        "code": CODE,
        "plan": {"batch_size": 12, "patch_size": [56, 40]},
        "environment": {"processor": "Some CPU", "gpu": None, "torch": "2.16.0"},
        "cost": {
            "parameters": 1_230_000,
            "flops": 4_560_000_000,
            "step_seconds": {"median": 0.123},
            "scan_seconds": {"median": 7.89},
            "peak_bytes": 321_000_000,
        },
        **changes,
    }
