"""Damaged inputs under every command: each is named in one line, and the good files beside it are processed.

`benchmarks.checks.faults` calls this. The commands run as a user types them, on copies of the bench's files
(`benchmarks.checks.fault_bench`), with damage drawn by `benchmarks.checks.damage`. A call ends well where

- it ends by itself, within 60 seconds for each damaged file, and no process of it holds more than 2 GiB,
- standard error has no traceback, and one line names each damaged file for which there is no output,
- the exit status is not 0 where a file is named, but with --skip-faulty, which asks for that (a changed byte may leave
  a sound file, which is processed),
- no half file is left, and the outputs of the good files are those of a call without damaged ones.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.checks.damaged_calls import SHARES, Call, Scenes
from benchmarks.checks.fault_bench import FaultBench, read_rows
from nnunet_eas.support.files import PARTIAL, write_json
from nnunet_eas.support.nnunet_commands import command_line

SECONDS_A_FILE = 60
MOST_BYTES = 2 * 2**30


@dataclass(frozen=True)
class Outcome:
    """How a call ended; `faults` is empty where it ended well, `sound` counts files in which no damage was found."""

    damaged: dict[str, str]
    sound: int
    seconds: float
    peak_mb: float
    status: int
    faults: list[str]
    lines: list[str]


def run(bench: FaultBench, inputs: int, out: Path, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Makes calls until `inputs` damaged files were given, and writes an outcome for each call into a JSON.

    Calls whose outcome stands there already are not made again.
    """
    rows: dict[str, dict[str, Any]] = read_rows(out)
    for number, (scene, share) in enumerate(SHARES.items()):
        given = index = 0
        while given < round(inputs * share):
            key = f"{scene}/{index}"
            if key not in rows:
                rows[key] = asdict(play(bench, scene, np.random.default_rng([number, index])))
                write_json(out, rows)
                say(f"{key}: {len(rows[key]['damaged'])} damaged, {'; '.join(rows[key]['faults']) or 'well'}")
            given += len(rows[key]["damaged"])
            index += 1
    return rows


def play(bench: FaultBench, scene: str, rng: np.random.Generator) -> Outcome:
    """Makes one call, in a folder that is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="faults_", dir=bench.work) as name:
        call = getattr(Scenes(bench), scene)(rng, Path(name))
        before = set(Path(name).rglob("*"))
        errors, output = Path(name, "stderr"), Path(name, "stdout")
        started = time.monotonic()
        with errors.open("w") as err, output.open("w") as std:
            process = subprocess.Popen(
                command_line("nnunet-eas", *call.words),
                stdin=subprocess.DEVNULL,
                stdout=std,
                stderr=err,
                cwd=name,
                env=call.environment or bench.environment(),
                start_new_session=True,
            )
            limit = SECONDS_A_FILE * max(2, len(call.damaged))
            status, peak = _wait(process, limit)
        seconds = time.monotonic() - started
        lines = [line for line in (errors.read_text() + output.read_text()).splitlines() if line.strip()]
        faults, sound = judge(call, status, lines, Path(name), before)
        if seconds >= limit:
            faults.append(f"no end within {limit} s")
        if peak > MOST_BYTES:
            faults.append(f"{peak / 2**30:.1f} GiB of memory")
        shown = [line.replace(name, "DIR")[:300] for line in lines[-6:]] if faults else []
        return Outcome(call.damaged, sound, round(seconds, 1), round(peak / 1e6), status, faults, shown)


def _wait(process: subprocess.Popen, limit: float) -> tuple[int, float]:
    """Exit status, and the most bytes that the process or one of its children held; ends it after `limit` seconds."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return process.returncode, usage.ru_maxrss * 1024
        time.sleep(0.05)
    os.killpg(process.pid, 9)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage.ru_maxrss * 1024


def judge(call: Call, status: int, lines: list[str], folder: Path, before: set[Path]) -> tuple[list[str], int]:
    """The faults of a call, and the number of files in which it found no damage."""
    faults = []
    if any(line.startswith("Traceback") for line in lines):
        faults.append("traceback")
    if status < 0:
        faults.append(f"ended by signal {-status}")
    named = {name for name in call.damaged if any(name in line for line in lines if not line.startswith("written"))}
    skipped = {
        name for name in named if any(name in line for line in lines if line.startswith(("skipped", "left out")))
    }
    blamed = named if status else skipped
    for name in call.damaged:
        if name not in blamed and not call.outputs[name].exists():
            faults.append(f"{name}: neither an output nor a line")
    if status and not blamed:
        faults.append(f"status {status}, and no damaged file is named")
    if skipped and not status and not call.skips:
        faults.append("status 0, although files are left out")
    new = [path for path in folder.rglob("*") if path not in before and path.is_file()]
    half = [path.name for path in new if path.name.startswith(PARTIAL) or path.suffix in (".tmp", ".part")]
    if half:
        faults.append(f"left behind: {', '.join(half[:3])}")
    if fault := call.good():
        faults.append(fault)
    return faults, len(call.damaged) - len(blamed)


def summary(rows: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Counts over all calls: damaged files, those in which none found a damage, and what went wrong."""
    return {
        "calls": len(rows),
        "damaged_files": sum(len(row["damaged"]) for row in rows.values()),
        "taken_as_sound": sum(row["sound"] for row in rows.values()),
        "longest_seconds": max((row["seconds"] for row in rows.values()), default=0),
        "largest_peak_mb": max((row["peak_mb"] for row in rows.values()), default=0),
        "faults": {key: row["faults"] for key, row in rows.items() if row["faults"]},
    }
