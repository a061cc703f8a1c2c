"""Executors of trainings, on this machine's devices or on a Slurm cluster, both by submitit."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import submitit

from nnunet_eas.crossval.devices import cores
from nnunet_eas.crossval.training import Training

YEAR_MIN = 365 * 24 * 60
LOST_AFTER_S = 20.0
"""A job that left Slurm's queue may still be writing its result, over a network."""


class Executor(Protocol):
    """Starts trainings.

    Attributes:
        threads: Each training's share of the cores; None where it has them alone.
    """

    threads: int | None

    def places(self) -> int:
        """The number of trainings that can be started now."""

    def submit(self, trainings: Sequence[Training]) -> list[submitit.Job[str]]:
        """Starts trainings, at most as many as there are places."""

    def is_over(self, job: submitit.Job[str]) -> bool:
        """Whether the job ended, in whatever way."""

    def cancel(self, job: submitit.Job[str]) -> None:
        """Ends the job."""


class LocalExecutor:
    """One training at a time on each device.

    Args:
        folder: For submitit's files.
        gpus: Numbers of the devices; None for each training that runs without a GPU.
    """

    def __init__(self, folder: Path, gpus: Sequence[int | None]) -> None:
        self._folder = folder
        self._free: list[int | None] = list(gpus)
        self._taken: dict[str, int | None] = {}
        self.threads = max(1, cores() // len(gpus)) if len(gpus) > 1 else None

    def places(self) -> int:
        """The number of free devices."""
        return len(self._free)

    def submit(self, trainings: Sequence[Training]) -> list[submitit.Job[str]]:
        """Starts each on a free device."""
        return [self._submit(training) for training in trainings]

    def _submit(self, training: Training) -> submitit.Job[str]:
        gpu = self._free.pop(0)
        executor = submitit.LocalExecutor(self._folder)
        executor.update_parameters(
            timeout_min=YEAR_MIN,
            gpus_per_node=0 if gpu is None else 1,
            visible_gpus=() if gpu is None else (gpu,),
        )
        job = executor.submit(training)
        self._taken[job.job_id] = gpu
        return job

    def is_over(self, job: submitit.Job[str]) -> bool:
        """Whether the job ended; its device is then free."""
        if not job.done():
            return False
        if job.job_id in self._taken:
            self._free.append(self._taken.pop(job.job_id))
        return True

    def cancel(self, job: submitit.Job[str]) -> None:
        """Interrupts the job."""
        job.cancel(check=False)


class SlurmExecutor:
    """Job arrays, which Slurm places.

    A job whose time is up, or which has to give way, is sent USR2, saves itself, and is put back into the queue.

    Args:
        folder: For submitit's files, visible from all nodes.
        parameters: submitit's for Slurm: partition, time (minutes), mem, gpus_per_node, additional_parameters, ...

    Raises:
        RuntimeError: There is no Slurm.
    """

    threads: int | None = None

    def __init__(self, folder: Path, parameters: dict[str, Any]) -> None:
        for command in ("sbatch", "squeue", "scancel"):
            if shutil.which(command) is None:
                raise RuntimeError(
                    f"--executor slurm needs Slurm's commands, got no {command}. Run it on a login node, or give "
                    "--executor local."
                )
        self._executor = submitit.SlurmExecutor(folder, max_num_timeout=1000)  # each is resumed
        self._executor.update_parameters(**parameters)
        self._missing_since: dict[str, float] = {}

    def places(self) -> int:
        """More than there are folds: the queue takes all."""
        return 1000

    def submit(self, trainings: Sequence[Training]) -> list[submitit.Job[str]]:
        """Starts several as an array."""
        if len(trainings) == 1:
            return [self._executor.submit(trainings[0])]
        with self._executor.batch():
            return [self._executor.submit(training) for training in trainings]

    def is_over(self, job: submitit.Job[str]) -> bool:
        """Asks the result and the queue; submitit would ask Slurm's accounting, which not every cluster keeps."""
        if job.paths.result_pickle.exists():
            return True
        queue = self._queue()
        if queue is None or job.job_id in queue:
            self._missing_since.pop(job.job_id, None)
            return False
        return time.monotonic() - self._missing_since.setdefault(job.job_id, time.monotonic()) > LOST_AFTER_S

    def _queue(self) -> set[str] | None:
        """Numbers of this user's jobs, each of an array's; None while Slurm does not answer, which passes."""
        asked = ["squeue", "--noheader", "--array", "--format=%i|%A", "--user", str(os.getuid())]
        answer = subprocess.run(asked, capture_output=True, text=True, check=False)
        return None if answer.returncode else {number for line in answer.stdout.split() for number in line.split("|")}

    def cancel(self, job: submitit.Job[str]) -> None:
        """Takes the job out of the queue, or ends it."""
        subprocess.run(["scancel", job.job_id], capture_output=True, check=False)
