"""Training of the folds that are missing, with a bounded number of attempts for each."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Callable, Sequence

import submitit

from nnunet_eas.crossval.executors import Executor
from nnunet_eas.crossval.fold import LOG, Fold
from nnunet_eas.crossval.record import read_record
from nnunet_eas.crossval.status import status_of
from nnunet_eas.crossval.training import IN_USE, Training

POLL_S = 1.0
PROGRESS_S = 60.0
FULL = 1 << 20  # free bytes of a full disk: too few for a job to write why it failed


def train_all(
    trainings: Sequence[Training], executor: Executor, attempts: int, say: Callable[[str], None]
) -> dict[Fold, str]:
    """Returns when every fold is trained, here or by another process, or has failed at all its attempts.

    None of the trainings waits for another one. `say` gets a line for everything that happens, and once a minute for
    the progress of each running fold. The folds that failed are returned with their last errors.
    """
    progress = Progress(say)
    waiting = [training for training in trainings if not training.is_done()]
    running: list[tuple[Training, submitit.Job[str]]] = []
    failures: Counter[Fold] = Counter()
    failed: dict[Fold, str] = {}
    elsewhere: set[Fold] = set()
    try:
        while waiting or running:
            held = [training.fold for training in waiting if training.fold.is_in_use()]
            for fold in held:
                if fold not in elsewhere:
                    say(f"{fold}: another process trains it; waiting for it")
            elsewhere.update(held)
            ready = [training for training in waiting if training.fold not in held][: executor.places()]
            for training, job in zip(ready, executor.submit(ready) if ready else [], strict=True):
                running.append((training, job))
                waiting.remove(training)
                elsewhere.discard(training.fold)
                say(f"{training.fold}: submitted as job {job.job_id}")
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
            job.cancel(check=False)
    return failed


class Progress:
    """Tells `say` how far running folds are, at most once a minute and whenever that has changed."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._last: dict[Fold, tuple[float, str]] = {}

    def look_at(self, fold: Fold) -> None:
        """Reads the files of a running fold, unless that was less than a minute ago."""
        now = time.monotonic()
        looked, said = self._last.setdefault(fold, (now, ""))
        if now - looked >= PROGRESS_S:
            line = str(status_of(fold))
            if line != said:
                self._say(f"{line}, log {fold.folder / LOG}")
            self._last[fold] = (now, line)


def _result(job: submitit.Job[str]) -> str | None:
    """The training's result; None where it ended without one."""
    return job.result() if job.paths.result_pickle.exists() and job.exception() is None else None


def _error(training: Training, job: submitit.Job[str]) -> str:
    """The error that ended it, from its record if it had time to write one."""
    record = read_record(training.fold.folder)
    if record is not None and record.error:
        return record.error
    if shutil.disk_usage(training.fold.folder).free < FULL:
        return f"there is no space left for {training.fold.folder}"
    return f"job {job.job_id} ended without a result, killed or cancelled; see {job.paths.stderr}"
