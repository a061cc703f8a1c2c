"""Runs nnU-Net's own commands as children, as a user types them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path

_LAST_LINES = 15


class Commands:
    """nnU-Net's commands, with their folders below one root and one log file a command.

    Args:
        root: The demo's folder.
        lookup_folder: Where nnU-Net finds our trainers.
        lock: A file descriptor that every child shall hold open; None for none.
    """

    def __init__(self, root: Path, *, lookup_folder: str, lock: int | None = None) -> None:
        self.root = root
        self.lookup_folder = lookup_folder
        self.lock = lock

    def run(self, name: str, *arguments: str, on_line: Callable[[str], None]) -> None:
        """Runs a command to its end.

        Args:
            name: Of the console script.
            *arguments: Its arguments.
            on_line: Called with each line as it comes (a progress bar's repaint counts as a line).

        Raises:
            RuntimeError: Where the command fails; with the end of its output.
        """
        log = self.root / "logs" / f"{name}.log"
        last: list[str] = []
        line = command_line(name, *arguments)
        with (
            log.open("a", encoding="utf-8") as file,
            subprocess.Popen(
                line,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                encoding="utf-8",
                errors="replace",
                env=self.environment(name),
                cwd=self.root,
                pass_fds=() if self.lock is None else (self.lock,),
            ) as process,
        ):
            file.write(f"$ {' '.join(line)}\n")
            assert process.stdout is not None
            try:
                for output in process.stdout:
                    file.write(output)
                    file.flush()
                    if output.strip():
                        last = [*last[1 - _LAST_LINES :], output.rstrip()]
                        on_line(output.rstrip())
            except BaseException:  # an interrupt, too, must not leave the child behind
                process.terminate()
                raise
        if process.returncode:
            tail = "\n".join(f"    {output}" for output in last)
            raise RuntimeError(
                f"{name} must succeed, got exit status {process.returncode}. "
                f"Its last lines follow, all of them are in {log}.\n{tail}"
            )

    def environment(self, command: str) -> dict[str, str]:
        """The environment of one command. What the user has set for their own nnU-Net is not touched."""
        result = dict(os.environ)
        for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
            result[name] = str(self.root / name)
        # The start-up registration has normally done this; the demo must also work where it is switched off.
        directories = [d for d in result.get("nnUNet_extTrainer", "").split(os.pathsep) if d]
        if self.lookup_folder not in directories:
            directories.append(self.lookup_folder)
        result["nnUNet_extTrainer"] = os.pathsep.join(directories)
        # 0 makes the training augment in its own process: on a few cores, workers only take from the network what they
        # give, and a killed training leaves none behind. The planner also reads this, as its number of threads.
        result["nnUNet_n_proc_DA"] = "0" if command == "nnUNetv2_train" else "2"
        # Every process that nnU-Net starts imports PyTorch anew: more than a second one saves on a few knees.
        result["nnUNet_def_n_proc"] = "1"
        # Threads that wait by spinning take the core from those they wait for as soon as anything else runs.
        result.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        result["PYTHONUNBUFFERED"] = "1"  # progress must arrive when it happens
        return result


def command_line(name: str, *arguments: str) -> list[str]:
    """How to call a console script: the file beside this Python, or the function that it would call."""
    folder = Path(sys.executable).parent
    for file in (folder / name, folder / f"{name}.exe"):
        if file.is_file():
            return [str(file), *arguments]
    for script in entry_points(group="console_scripts", name=name):
        return [sys.executable, "-c", f"from {script.module} import {script.attr} as run; run()", *arguments]
    raise FileNotFoundError(
        f"nnU-Net must be installed with its commands, got none named {name}. Run pip install nnunetv2."
    )
