"""Runs one function over many jobs, in worker processes that end with this one, with a progress bar."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from functools import cache
from multiprocessing.connection import wait
from typing import TypeVar

from tqdm import tqdm

THREADS_VARIABLE = "NNUNET_EAS_THREADS"
"""Threads of a training on a CPU: `nnUNetv2_train` takes one for each core, whatever OMP_NUM_THREADS says."""

Job = TypeVar("Job")
Result = TypeVar("Result")


def check_workers(workers: int) -> None:
    """Raises ValueError unless there is at least one worker."""
    if workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers}. Give the number of processes.")


def for_all(
    function: Callable[[Job], Result], jobs: Sequence[Job], *, workers: int, description: str, progress: bool = True
) -> Iterator[tuple[Job, Result]]:
    """Yields every job with its result, in the order in which they get ready; one worker stays in this process.

    The function is at a module's top level and the jobs are picklable. What the function raises ends the whole. The
    progress bar is shown on terminals only.
    """
    check_workers(workers)
    with tqdm(total=len(jobs), desc=description, unit="case", disable=None if progress else True) as bar:
        if workers == 1 or len(jobs) < 2:
            for job in jobs:
                yield job, function(job)
                bar.update()
            return
        with _interrupts_for_the_parent_alone():
            futures = {_pool(workers).submit(function, job): job for job in jobs}  # the first one starts all workers
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
                bar.update()
        finally:
            for future in futures:
                future.cancel()


def all_results(
    function: Callable[[Job], Result],
    jobs: Sequence[Job],
    *,
    workers: int,
    description: str,
    progress: bool,
    known: Callable[[Job], Result | None] = lambda job: None,
    keep: Callable[[Job, Result], None] = lambda job, result: None,
) -> list[Result]:
    """The results of all jobs, in the jobs' order; arguments as in `for_all`.

    What is `known` of a job is not computed again, and each new result is handed to `keep` as soon as it is ready.
    """
    by_job = {id(job): result for job in jobs if (result := known(job)) is not None}
    left = [job for job in jobs if id(job) not in by_job]
    for job, result in for_all(function, left, workers=workers, description=description, progress=progress):
        keep(job, result)
        by_job[id(job)] = result
    return [by_job[id(job)] for job in jobs]


@cache
def _pool(workers: int) -> ProcessPoolExecutor:
    """One pool for all stages of a command: starting it takes seconds. Python ends it with the process."""
    # spawned, not forked: SimpleITK's and OpenMP's threads do not survive a fork
    return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_leave_with_parent)


@contextmanager
def _interrupts_for_the_parent_alone() -> Iterator[None]:
    """Processes that start in here ignore Ctrl-C; the parent sends them home."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _leave_with_parent() -> None:
    """A worker whose parent was killed would wait for work for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
