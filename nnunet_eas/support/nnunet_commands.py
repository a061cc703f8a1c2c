"""Runs nnU-Net's own commands as a user types them, with their output in a log file."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path

LAST_BYTES = 4096  # of a log that are searched for its last line


def command_line(name: str, *arguments: str) -> list[str]:
    """The script beside this Python, which need not be on the PATH, or a call of the function that it would call."""
    folder = Path(sys.executable).parent
    for file in (folder / name, folder / f"{name}.exe"):
        if file.is_file():
            return [str(file), *arguments]
    for script in entry_points(group="console_scripts", name=name):
        return [sys.executable, "-c", f"from {script.module} import {script.attr} as run; run()", *arguments]
    raise FileNotFoundError(
        f"nnU-Net must be installed with its commands, got none named {name}. Run pip install nnunetv2."
    )


def run_command(
    command: Sequence[str],
    log: Path,
    *,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    inherit: Sequence[int] = (),
    on_line: Callable[[str], None] | None = None,
    started: Callable[[subprocess.Popen[str]], None] | None = None,
) -> int:
    """Runs a command to its end or to an exception here, appends its output to a log file, and returns its status.

    Args:
        command: Its name and arguments, as a user types them.
        log: Where the output goes, below a line with the command.
        environment: Its environment variables; None for this process's.
        folder: Where it runs; None for this process's folder.
        inherit: File descriptors that the command keeps open, a lock's for example.
        on_line: Called with every line that is not empty. None leaves the output to the log alone, written by the
            command itself, so that it goes on where this process is killed.
        started: Called with the running process.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as file:
        file.write(f"$ {' '.join(command)}\n")
        file.flush()
        with subprocess.Popen(
            command_line(*command),
            stdin=subprocess.DEVNULL,
            stdout=file if on_line is None else subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            env=None if environment is None else dict(environment),
            cwd=folder,
            pass_fds=tuple(inherit),
        ) as process:
            try:
                if started is not None:
                    started(process)
                for line in process.stdout or ():
                    file.write(line)
                    file.flush()
                    if on_line is not None and line.strip():
                        on_line(line.rstrip())
                return process.wait()
            except BaseException:
                process.terminate()
                raise


def call(command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> None:
    """Runs a command to its end; raises RuntimeError with the last line of its output where it failed."""
    status = run_command(command, log, environment=environment)
    if status:
        raise RuntimeError(f"{command[0]} must succeed, got status {status}: {last_line(log)}. See {log}.")


def last_line(log: Path) -> str:
    """The last line of a log that is not empty, at most 300 characters of it."""
    with log.open("rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - LAST_BYTES))
        lines = file.read().decode(errors="replace").splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "")[:300]
