"""Executors of trainings, on this machine's devices or on a Slurm cluster, both by submitit."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import submitit

from nnunet_eas.crossval.devices import cores
from nnunet_eas.crossval.training import Training

YEAR_MIN = 365 * 24 * 60
LOST_AFTER_S = 20.0  # a job that left Slurm's queue may still be writing its result, over a network


class LocalExecutor:
    """One training at a time on each device of this machine.

    Args:
        folder: For submitit's files.
        gpus: The devices' names, as in CUDA_VISIBLE_DEVICES; None for each training that runs without a GPU.
    """

    def __init__(self, folder: Path, gpus: Sequence[str | None]) -> None:
        self._folder = folder
        self._free: list[str | None] = list(gpus)
        self._taken: dict[str, str | None] = {}
        # each training's share of the cores; None where it has them alone
        self.threads = max(1, cores() // len(gpus)) if len(gpus) > 1 else None

    def places(self) -> int:
        """The number of free devices."""
        return len(self._free)

    def submit(self, trainings: Sequence[Training]) -> list[submitit.Job[str]]:
        """Starts each training on a free device; there must be as many."""
        jobs = []
        for training in trainings:
            gpu = self._free.pop(0)
            executor = submitit.LocalExecutor(self._folder)
            executor.update_parameters(timeout_min=YEAR_MIN)
            jobs.append(executor.submit(replace(training, gpu=gpu)))  # submitit's own choice knows numbers only
            self._taken[jobs[-1].job_id] = gpu
        return jobs

    def is_over(self, job: submitit.Job[str]) -> bool:
        """Whether the job ended; its device is then free."""
        if job.done() and job.job_id in self._taken:
            self._free.append(self._taken.pop(job.job_id))
        return job.job_id not in self._taken


class SlurmExecutor:
    """Job arrays, which Slurm places.

    A job whose time is up, or which has to give way, is sent USR2, saves itself, and is put back into the queue.

    Args:
        folder: For submitit's files, visible from all nodes.
        parameters: submitit's for Slurm: partition, time (minutes), mem, gpus_per_node, additional_parameters, ...
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
        """Starts the trainings, several as an array."""
        with self._executor.batch():
            return [self._executor.submit(training) for training in trainings]

    def is_over(self, job: submitit.Job[str]) -> bool:
        """Asks the result and the queue; submitit would ask Slurm's accounting, which not every cluster keeps."""
        if job.paths.result_pickle.exists():
            return True
        asked = ["squeue", "--noheader", "--array", "--format=%i|%A", "--user", str(os.getuid())]
        answer = subprocess.run(asked, capture_output=True, text=True, check=False)
        # no answer tells nothing, and passes; a job of an array has two numbers
        if answer.returncode or job.job_id in answer.stdout.replace("|", " ").split():
            self._missing_since.pop(job.job_id, None)
            return False
        return time.monotonic() - self._missing_since.setdefault(job.job_id, time.monotonic()) > LOST_AFTER_S


Executor = LocalExecutor | SlurmExecutor
