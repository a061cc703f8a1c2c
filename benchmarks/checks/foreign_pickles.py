"""Pickles that would run a command, hidden in every kind of file, under every command: none of them runs.

`benchmarks.checks.faults` calls this. The pickles make a folder where they are loaded. Each command gets a copy of the
bench with one of them; `nnunet_eas`'s functions are what the commands call. nnUNetv2_train is here for the checkpoints
that EASUNetTrainer continues from; cases' properties are loaded by nnU-Net itself there, so that this pair is left out.
"""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.checks.bench_commands import KEPT, all_commands, copy_bench, model_in
from benchmarks.checks.fault_bench import FaultBench, read_rows
from nnunet_eas.support.files import write_json
from nnunet_eas.support.nnunet_commands import command_line

SECONDS = 600  # of a call
LINE = 300  # characters that are kept of a message


class Runs:
    """An object whose unpickling makes a folder."""

    def __init__(self, marker: Path) -> None:
        self.marker = str(marker)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.makedirs, (self.marker, 0o777, True)


def _in_checkpoint(folder: Path, runs: Runs) -> None:
    for name in ("checkpoint_final.pth", "checkpoint_best.pth"):
        file = model_in(folder) / "fold_0" / name
        content = torch.load(file, weights_only=False)
        torch.save({**content, "logging": runs}, file)
    shutil.copy(file, file.with_name("checkpoint_latest.pth"))


def _in_old_checkpoint(folder: Path, runs: Runs) -> None:
    for name in ("checkpoint_final.pth", "checkpoint_best.pth", "checkpoint_latest.pth"):
        (model_in(folder) / "fold_0" / name).write_bytes(pickle.dumps(runs))


def _in_postprocessing(folder: Path, runs: Runs) -> None:
    (model_in(folder) / KEPT / "postprocessing.pkl").write_bytes(pickle.dumps(([runs], [{}])))


def _in_properties(folder: Path, runs: Runs) -> None:
    for file in (folder / "preprocessed").rglob("*.pkl"):
        file.write_bytes(pickle.dumps({"spacing": runs}))


def _in_arrays(folder: Path, runs: Runs) -> None:
    for file in (folder / "preprocessed").rglob("*.b2nd"):
        np.savez(file.with_suffix(".npz"), data=np.array([runs], dtype=object), seg=np.array([runs], dtype=object))
        file.unlink()


def _in_archive(folder: Path, runs: Runs) -> None:
    """A packed model with a poisoned checkpoint and postprocessing as nnU-Net would load them."""
    packed = folder / "model.nnunet.zip"
    with zipfile.ZipFile(packed, "a") as archive:
        archive.writestr(f"{model_in(folder).name}/fold_0/checkpoint_final.pth", pickle.dumps(runs))
        archive.writestr("postprocessing.pkl", pickle.dumps(([runs], [{}])))


PLACES: dict[str, Callable[[Path, Runs], None]] = {
    "checkpoint": _in_checkpoint,
    "checkpoint of PyTorch's old form": _in_old_checkpoint,
    "postprocessing.pkl": _in_postprocessing,
    "properties of preprocessed cases (.pkl)": _in_properties,
    "preprocessed arrays (.npz)": _in_arrays,
    "packed model": _in_archive,
}


LEFT_OUT = {  # nnU-Net's own loading, as SECURITY.md says
    ("nnUNetv2_train --c", "properties of preprocessed cases (.pkl)"),
    ("crossval", "properties of preprocessed cases (.pkl)"),
}


def run(bench: FaultBench, out: Path, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Makes the calls that are missing, and writes for each whether the pickle ran, the status and the last line."""
    rows = read_rows(out)
    for place, hide in PLACES.items():
        for name in all_commands(Path()):
            key = f"{name} | {place}"
            if key not in rows and (name, place) not in LEFT_OUT:
                rows[key] = _call(bench, name, hide)
                write_json(out, rows)
                say(f"{key}: {rows[key]}")
    return rows


def _call(bench: FaultBench, name: str, hide: Callable[[Path, Runs], None]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="faults_", dir=bench.work) as work:
        folder = Path(work)
        copy_bench(bench, folder)
        marker = folder / "ran"
        hide(folder, Runs(marker))
        done = subprocess.run(
            command_line(*all_commands(folder)[name]),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            cwd=folder,
            env=bench.environment(folder),
            timeout=SECONDS,
            check=False,
        )
        lines = [line for line in f"{done.stdout}\n{done.stderr}".splitlines() if line.strip()]
        last = lines[-1].replace(work, "DIR")[:LINE] if lines else ""
        return {"ran": marker.exists(), "status": done.returncode, "last_line": last}


def summary(rows: dict[str, Any]) -> dict[str, Any]:
    """Which pairs ran what was hidden; all pairs with their status."""
    return {
        "tried": len(rows),
        "ran": [key for key, row in rows.items() if row["ran"]],
        "statuses": {key: row["status"] for key, row in rows.items()},
    }
