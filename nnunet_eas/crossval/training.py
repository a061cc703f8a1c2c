"""A fold's training as submitit runs it: in a process of its own, here or on a cluster's node."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

from submitit.helpers import DelayedSubmission

from nnunet_eas.crossval.fold import Fold
from nnunet_eas.crossval.record import Record
from nnunet_eas.support.stop_signal import SIGNAL

TRAINED = "trained"
IN_USE = "in use"
LOG = "crossval_log.txt"


class TrainingFailed(RuntimeError):
    """nnU-Net's command ended with an error; the message is the last line that it printed."""


@dataclass
class Training:
    """Calling it trains the fold, unless that is done or another process is at it.

    Attributes:
        fold: What to train.
        device: nnU-Net's -device.
        with_probabilities: nnU-Net's --npz.
    """

    fold: Fold
    device: str
    with_probabilities: bool
    process: subprocess.Popen[bytes] | None = field(default=None, compare=False)

    def is_done(self) -> bool:
        """Whether there is nothing left to do."""
        return self.fold.is_trained(with_probabilities=self.with_probabilities)

    def __call__(self) -> str:
        """`TRAINED` or `IN_USE`.

        Raises:
            TrainingFailed: nnU-Net ended with an error.
        """
        with self.fold.lock() as lock:
            if lock is None:
                return IN_USE
            if not self.is_done():
                self._train(lock)
            return TRAINED

    def checkpoint(self) -> DelayedSubmission:
        """What submitit calls when the job's time is up: the training saves itself, and goes on later."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(SIGNAL)
            # not wait(), whose lock the interrupted wait below holds; Slurm ends it if it takes too long
            with contextlib.suppress(ChildProcessError):
                os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOWAIT)
        return DelayedSubmission(replace(self, process=None))

    def _train(self, lock: int) -> None:
        record = Record()
        record.write(self.fold.folder)
        command = self.fold.command(self.device, with_probabilities=self.with_probabilities)
        log = self.fold.folder / LOG
        with log.open("ab") as output:
            output.write(f"{' '.join(command)}\n".encode())
            output.flush()
            # the training inherits the lock: where this process is killed and the training lives on, it stays held
            self.process = subprocess.Popen(
                [_script(command[0]), *command[1:]], stdout=output, stderr=subprocess.STDOUT, pass_fds=(lock,)
            )
            try:
                status = self.process.wait()
            finally:  # interrupted, or stopped by submitit
                if self.process.poll() is None:
                    self.process.terminate()
        if status == 0 and self.is_done():
            return
        how = (
            f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with {status}: {_last_line(log)}"
        )
        error = f"{command[0]} {how}"
        with contextlib.suppress(OSError):  # the disk may be full, which is what the error then says
            replace(record, error=error).write(self.fold.folder)
        raise TrainingFailed(error)


def call(command: list[str], log: Path) -> None:
    """Runs one of nnU-Net's commands, its output into a file.

    Raises:
        RuntimeError: It ended with an error.
    """
    with log.open("w", encoding="utf-8") as output:
        status = subprocess.call([_script(command[0]), *command[1:]], stdout=output, stderr=subprocess.STDOUT)
    if status:
        raise RuntimeError(f"{command[0]} must succeed, got status {status}: {_last_line(log)}. See {log}.")


def _script(name: str) -> str:
    """nnU-Net's command of this environment, which need not be the first on the PATH."""
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.is_file() else shutil.which(name) or name


def _last_line(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - 4096))
        lines = file.read().decode(errors="replace").splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "")[:300]
