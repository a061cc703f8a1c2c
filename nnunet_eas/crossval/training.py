"""A fold's training as submitit runs it: in a process of its own, here or on a cluster's node."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from submitit.helpers import DelayedSubmission

from nnunet_eas.crossval.fold import LOG, Fold
from nnunet_eas.crossval.record import Record
from nnunet_eas.support.locks import Busy
from nnunet_eas.support.nnunet_commands import last_line, run_command
from nnunet_eas.support.parallel import THREADS_VARIABLE
from nnunet_eas.support.stop_signal import SIGNAL

TRAINED = "trained"
IN_USE = "in use"


@dataclass
class Training:
    """A training of a fold; calling it trains, unless that is done or another process is at it."""

    fold: Fold
    device: str  # nnU-Net's -device
    with_probabilities: bool  # nnU-Net's --npz
    threads: int | None = None  # its share of the cores; None where it has them alone
    gpu: str | None = None  # its GPU, as in CUDA_VISIBLE_DEVICES; None for no GPU, or for those that a cluster gives
    process: subprocess.Popen[str] | None = field(default=None, compare=False)

    def is_done(self) -> bool:
        """Whether there is nothing left to do."""
        return self.fold.is_trained(with_probabilities=self.with_probabilities)

    def __call__(self) -> str:
        """Trains the fold; returns `TRAINED` or `IN_USE`, or raises RuntimeError where nnU-Net ended with an error."""
        try:
            with self.fold.lock() as descriptors:
                if not self.is_done():
                    self._train(descriptors)
                return TRAINED
        except Busy:
            return IN_USE

    def checkpoint(self) -> DelayedSubmission:
        """Called by submitit when the job's time is up: the training saves itself, and is resumed later."""
        if self.process is not None and self.process.poll() is None and SIGNAL is not None:
            self.process.send_signal(SIGNAL)
            # not wait(), whose lock the interrupted wait below holds; Slurm ends it if it takes too long
            with contextlib.suppress(ChildProcessError):
                os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOWAIT)
        return DelayedSubmission(replace(self, process=None))

    def _train(self, descriptors: Sequence[int]) -> None:
        record = Record()
        record.write(self.fold.folder)
        command = self.fold.command(self.device, with_probabilities=self.with_probabilities)
        log = self.fold.folder / LOG
        status = run_command(
            command,
            log,
            environment=self._environment(),
            inherit=descriptors,  # where this process is killed and the training lives on, the fold stays locked
            started=self._remember,
        )
        if status == 0 and self.is_done():
            return
        how = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with {status}: {last_line(log)}"
        error = f"{command[0]} {how}"
        with contextlib.suppress(OSError):  # the disk may be full, which is what the error then says
            replace(record, error=error).write(self.fold.folder)
        raise RuntimeError(error)

    def _remember(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def _environment(self) -> dict[str, str]:
        """The training's GPU, and its share of the cores as far as the user has not set these variables."""
        gpu = {} if self.gpu is None else {"CUDA_VISIBLE_DEVICES": self.gpu}
        if self.threads is None:
            return {**os.environ, **gpu}
        share = {
            "OMP_NUM_THREADS": str(self.threads),
            "OMP_WAIT_POLICY": "PASSIVE",  # threads that spin while they wait would take the others' cores
            THREADS_VARIABLE: str(self.threads),
        }
        return {**share, **os.environ, **gpu}
