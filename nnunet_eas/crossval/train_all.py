"""Training of the folds that are missing, with a bounded number of attempts for each."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Callable, Sequence

import submitit

from nnunet_eas.crossval.executors import Executor
from nnunet_eas.crossval.fold import Fold
from nnunet_eas.crossval.progress import Progress
from nnunet_eas.crossval.record import read_record
from nnunet_eas.crossval.training import IN_USE, Training

POLL_S = 1.0
FULL = 1 << 20
"""Free bytes of a full disk: too few for a job to write why it failed."""


def train_all(
    trainings: Sequence[Training], executor: Executor, attempts: int, say: Callable[[str], None]
) -> dict[Fold, str]:
    """Returns when every fold is trained or has failed too often; one that another process trains is waited for.

    Args:
        trainings: None of them waits for another one.
        executor: Runs them.
        attempts: How often a fold may fail before the others are trained without it.
        say: Gets a line for everything that happens, and once a minute for the progress of each running fold.

    Returns:
        The folds that failed, with the last error.
    """
    progress = Progress(say)
    waiting = [training for training in trainings if not training.is_done()]
    running: list[tuple[Training, submitit.Job[str]]] = []
    failures: Counter[Fold] = Counter()
    failed: dict[Fold, str] = {}
    elsewhere: set[Fold] = set()
    try:
        while waiting or running:
            for training in [training for training in waiting if training.fold.is_in_use()]:
                if training.fold not in elsewhere:
                    say(f"{training.fold}: another process trains it; waiting for it")
                    elsewhere.add(training.fold)
            ready = [training for training in waiting if not training.fold.is_in_use()][: executor.places()]
            for training, job in zip(ready, executor.submit(ready) if ready else [], strict=True):
                running.append((training, job))
                waiting.remove(training)
                elsewhere.discard(training.fold)
                say(f"{training.fold}: started as job {job.job_id}")
            time.sleep(POLL_S)
            for training, _ in running:
                progress.look_at(training.fold)
            for training, job in [pair for pair in running if executor.is_over(pair[1])]:
                running.remove((training, job))
                if training.is_done():
                    say(f"{training.fold}: trained")
                elif _result(job) == IN_USE:
                    waiting.append(training)
                else:
                    error = _error(training, job)
                    failures[training.fold] += 1
                    say(f"{training.fold}: attempt {failures[training.fold]} of {attempts} failed: {error}")
                    if failures[training.fold] < attempts:
                        waiting.append(training)
                    else:
                        failed[training.fold] = error
    finally:  # interrupted
        for _, job in running:
            executor.cancel(job)
    return failed


def _result(job: submitit.Job[str]) -> str | None:
    """The training's result; None where it ended without one."""
    if not job.paths.result_pickle.exists():
        return None
    return job.result() if job.exception() is None else None


def _error(training: Training, job: submitit.Job[str]) -> str:
    """The error that ended it, from its record if it had time to write one."""
    record = read_record(training.fold.folder)
    if record is not None and record.error:
        return record.error
    if shutil.disk_usage(training.fold.folder).free < FULL:
        return f"there is no space left for {training.fold.folder}"
    return f"job {job.job_id} ended without a result, killed or cancelled; see {job.paths.stderr}"
