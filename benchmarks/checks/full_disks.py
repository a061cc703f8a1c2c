"""A full disk under every command: one line names the file, nothing half is left, and with room the command ends well.

`benchmarks.checks.faults` calls this. The bench is copied to a small file system in memory (tmpfs, which needs root on
Linux), which is filled up but for a few bytes; the command writes there. Then room is made, and it is called again.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.checks.bench_commands import all_commands, copy_bench
from benchmarks.checks.fault_bench import FaultBench, read_rows
from nnunet_eas.support.files import PARTIAL, write_json
from nnunet_eas.support.nnunet_commands import command_line

SIZE = "200m"
LEFT = (0, 4096, 65536)  # bytes
SECONDS = 600  # of a call
WRITE_NOTHING = ("inspect", "status", "plan_info", "convert verify")
KEPT_LINES = 5


def run(bench: FaultBench, out: Path, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Makes the calls that are missing, and writes for each how it ended, full and with room."""
    rows = read_rows(out)
    for name in all_commands(Path()):
        for left in LEFT:
            key = f"{name} | {left} bytes left"
            if name not in WRITE_NOTHING and key not in rows:
                rows[key] = _call(bench, name, left)
                write_json(out, rows)
                say(f"{key}: status {rows[key]['status']}, {'; '.join(rows[key]['faults']) or 'well'}")
    return rows


def _call(bench: FaultBench, name: str, left: int) -> dict[str, Any]:
    folder = bench.work / "small_disk"
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)], check=True)
    try:
        copy_bench(bench, folder)
        if name == "nnUNetv2_train --c":
            for file in folder.rglob("checkpoint_final.pth"):
                file.unlink()
        before = set(folder.rglob("*"))
        filler = folder / "filler"
        _fill(filler, folder, left)
        full = _run(bench, folder, name)
        lines = [line for line in f"{full.stdout}\n{full.stderr}".splitlines() if line.strip()]
        new = [path for path in folder.rglob("*") if path not in before and path != filler and path.is_file()]
        faults = []
        ours = all_commands(folder)[name][0] == "nnunet-eas"  # nnU-Net's command ends in a traceback by itself
        if ours and any(line.startswith("Traceback") for line in lines):
            faults.append("traceback")
        if full.returncode and not any("space" in line.lower() or "full" in line.lower() for line in lines):
            faults.append("no line says that the disk is full")
        if half := [p.name for p in new if p.name.startswith(PARTIAL) or p.suffix in (".tmp", ".part")]:
            faults.append(f"left behind: {', '.join(half[:3])}")
        if empty := [path.name for path in new if path.stat().st_size == 0 and path.suffix not in (".lock", ".txt")]:
            faults.append(f"empty: {', '.join(empty[:3])}")
        filler.unlink()
        again = _run(bench, folder, name)
        if again.returncode:
            faults.append(f"with room again: status {again.returncode}")
            lines += f"{again.stdout}\n{again.stderr}".splitlines()
        shown = [line.replace(str(folder), "DIR")[:300] for line in lines if line.strip()][-KEPT_LINES:]
        return {"status": full.returncode, "faults": faults, "lines": shown}
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def _fill(filler: Path, folder: Path, left: int) -> None:
    """Writes a file that leaves `left` bytes of the file system."""
    with filler.open("wb") as file:
        while (free := shutil.disk_usage(folder).free - left) > 0:
            try:
                file.write(bytes(min(free, 1 << 20)))
                file.flush()
            except OSError:
                return
            os.fsync(file.fileno())


def _run(bench: FaultBench, folder: Path, name: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        command_line(*all_commands(folder)[name]),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=bench.work,
        env=bench.environment(folder),
        timeout=SECONDS,
        check=False,
    )


def summary(rows: dict[str, Any]) -> dict[str, Any]:
    """Counts of calls, of those that found no room, and what went wrong."""
    return {
        "calls": len(rows),
        "found_no_room": sum(row["status"] != 0 for row in rows.values()),
        "faults": {key: row["faults"] for key, row in rows.items() if row["faults"]},
    }
