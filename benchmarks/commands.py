"""nnU-Net's commands on the folders of a benchmark, with the benchmark's trainers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from nnunet_eas.support import nnunet_commands

ROOT = Path(__file__).resolve().parents[1]
"""The source folder."""

LOOKUP = ROOT / "benchmarks" / "trainers" / "lookup"
"""The folder in which nnU-Net finds the benchmark's trainers."""


def trainer_variables() -> dict[str, str]:
    """Environment variables by which nnU-Net finds the benchmark's trainers first, from any working directory."""
    folders = {"nnUNet_extTrainer": LOOKUP, "PYTHONPATH": ROOT}
    return {
        name: os.pathsep.join(filter(None, [str(folder), os.environ.get(name)])) for name, folder in folders.items()
    }


def folder_variables(work: Path, results: str = "results") -> dict[str, str]:
    """nnU-Net's three folders below `work`, as environment variables; `results` names the results folder."""
    folders = {"raw": "raw", "preprocessed": "preprocessed", "results": results}
    return {f"nnUNet_{name}": str(work / folder) for name, folder in folders.items()}


def call(work: Path, command: Sequence[str], results: str = "results") -> None:
    """Runs a command on the folders below `work`; its output is appended to a log below `work/logs`.

    Raises:
        RuntimeError: The command failed; the message names the log.
    """
    variables = {"nnUNet_n_proc_DA": "1", "nnUNet_def_n_proc": "2", **os.environ, **folder_variables(work, results)}
    nnunet_commands.call(command, work / "logs" / f"{results}_{command[0]}.txt", variables)
