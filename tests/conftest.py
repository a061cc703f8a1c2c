"""Shared by all tests."""

from __future__ import annotations

import os

# nnU-Net's defaults start a dozen processes; this is inherited by every command that a test runs
os.environ["nnUNet_n_proc_DA"] = "1"
os.environ["nnUNet_def_n_proc"] = "1"
# two tests at a time: threads that spin while they wait for a busy core make a step twenty times as slow
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def pytest_collection_modifyitems(items):
    """Files with slow tests first, so that no worker is left alone with one of them at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)
