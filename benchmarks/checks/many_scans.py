"""Hundreds of small scans, some of them faulty, through one call of `nnunet-eas predict`, watched while it works.

`benchmarks.checks.faults` calls this. What is counted: masks, named faults, memory of all processes of the command when
the first and the last scans are done, open files, and what is left in the temporary folder and of processes afterwards.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.checks.damage import BYTES, SCANS
from benchmarks.checks.fault_bench import SHAPE, SPACING, FaultBench, write_image
from nnunet_eas.phantom import knee
from nnunet_eas.support.nnunet_commands import command_line

FAULTY = 0.05
DRAWN = 20  # different knees
ALWAYS_A_FAULT = ("empty", "text", "spacing 0", "claims 30000 x 30000 x 1000 voxels", "no axes")
FIRST = 50  # scans after which memory must stay


def run(bench: FaultBench, scans: int) -> dict[str, Any]:
    """Predicts `scans` scans, the faulty ones among them drawn at random; returns what was counted."""
    rng = np.random.default_rng(5)
    source, out = bench.work / f"many_{scans}", bench.work / "many_masks"
    faulty = {f"scan_{n:04d}" for n in rng.choice(scans, round(scans * FAULTY), replace=False)}
    if not source.is_dir():
        _draw(source, scans, sorted(faulty), rng)
    shutil.rmtree(out, ignore_errors=True)
    with (
        tempfile.TemporaryDirectory(prefix="faults_") as temporary,
        open(bench.work / "logs" / "many.txt", "w+") as log,
    ):
        words = ["predict", "-i", str(source), "-o", str(out), "-m", str(bench.model), "-f", "0", "-device", "cpu"]
        before = {process.pid for process in psutil.process_iter()}
        process = psutil.Popen(
            command_line("nnunet-eas", *words),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**bench.environment(), "TMPDIR": temporary},
            start_new_session=True,
        )
        samples = _watch(process, out)
        time.sleep(2)
        log.seek(0)
        lines = log.read().splitlines()
        session = [p for p in psutil.process_iter(["name"]) if p.pid not in before and _is_of(p, process.pid)]
        left = sorted(path.name for path in Path(temporary).rglob("*"))
    masks = {file.name.removesuffix(".nii.gz") for file in out.glob("*.nii.gz")}
    all_scans = {f"scan_{n:04d}" for n in range(scans)}
    memory = [(done, peak) for done, peak, _ in samples if done >= FIRST]
    first = [peak for done, peak in memory if done < FIRST + scans // 5]
    last = [peak for done, peak in memory if done >= scans - len(faulty) - scans // 5]
    return {
        "scans": scans,
        "faulty": len(faulty),
        "status": process.returncode,
        "good_predicted": len(masks - faulty),
        "good_not_predicted": sorted(all_scans - faulty - masks),
        "faulty_named": sum(any(name in line for line in lines) for name in faulty),
        "faulty_with_mask": sorted(masks & faulty),
        "tracebacks": sum(line.startswith("Traceback") for line in lines),
        "mb_first": round(max(first, default=0)),
        "mb_last": round(max(last, default=0)),
        "open_files_first": max((files for done, _, files in samples if FIRST <= done < FIRST + scans // 5), default=0),
        "open_files_last": max((files for done, _, files in samples if done >= scans * 0.75), default=0),
        "left_in_temporary_folder": left,
        "processes_left": len(session),
    }


def _watch(process: psutil.Popen, out: Path) -> list[tuple[int, float, int]]:
    """(Masks that are done, MB of all processes, open files), twice a second until the command ends."""
    samples = []
    while process.poll() is None:
        try:
            family = [process, *process.children(recursive=True)]
            memory = sum(one.memory_info().rss for one in family) / 1e6
            samples.append((len(list(out.glob("*.nii.gz"))), memory, sum(one.num_fds() for one in family)))
        except psutil.NoSuchProcess:
            continue
        time.sleep(0.5)
    return samples


def _is_of(process: psutil.Process, session: int) -> bool:
    try:
        return os.getsid(process.pid) == session
    except ProcessLookupError:
        return False


def _draw(folder: Path, scans: int, faulty: list[str], rng: np.random.Generator) -> None:
    unfinished = folder.with_name(f"{folder.name}_")
    unfinished.mkdir(exist_ok=True)
    drawn = [knee(seed=500 + seed, shape=SHAPE, spacing=SPACING).image for seed in range(DRAWN)]
    ways = {**BYTES, **SCANS}
    for number in range(scans):
        name = f"scan_{number:04d}"
        file = unfinished / f"{name}_0000.nii.gz"
        write_image(drawn[number % DRAWN], file)
        if name in faulty:
            ways[str(rng.choice(ALWAYS_A_FAULT))](rng, file)
    unfinished.rename(folder)
