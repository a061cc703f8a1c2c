"""Shared by all tests."""

from __future__ import annotations

import os

# nnU-Net's defaults start a dozen processes; this is inherited by every command that a test runs
os.environ["nnUNet_n_proc_DA"] = "1"
os.environ["nnUNet_def_n_proc"] = "1"
# two tests at a time: threads that spin while they wait for a busy core make a step twenty times as slow
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
