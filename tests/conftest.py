"""Shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

# nnU-Net's defaults start a dozen processes; this is inherited by every command that a test runs
os.environ["nnUNet_n_proc_DA"] = "1"
os.environ["nnUNet_def_n_proc"] = "1"
os.environ["nnUNet_npp"] = os.environ["nnUNet_nps"] = "0"  # of nnUNetv2_predict: reads and writes without processes
# two tests at a time: threads that spin while they wait for a busy core make a step twenty times as slow
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
if "TEST_POOLS" not in os.environ:
    fast = str(Path(__file__).parent / "fast_commands")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [fast, os.environ.get("PYTHONPATH")]))


LONGEST = (
    "test_docs",
    "test_runner",
    "test_datasets",
    "test_crossval",
    "test_trained_folds",
    "test_install",
    "test_predict",
    "test_demo",
    "test_slurm",
    "test_planner",
    "test_preprocessed_data",
)
"""Files whose slow tests take minutes."""


def pytest_collection_modifyitems(items):
    """The longest files first, so that no worker is left alone with one of them at the end."""
    rank = {name: i for i, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(rank)))
