"""Faults of cases: collected, and told in one error."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from typing import Any

Faults = dict[str, list[str]]
"""By case identifier, what is wrong with the case and what to do, one sentence or more each."""

FAULT_TYPES = (ValueError, RuntimeError, OSError)
"""What reading a damaged file can raise: our own rules, SimpleITK's and pydicom's errors, the file system's."""

ForAll = Callable[..., Iterator[tuple[Any, Any]]]
"""`for_all` of the support room, with the number of processes and the progress bar decided."""


class FaultyCases(ValueError):
    """Some cases are faulty, and none was to be skipped.

    Attributes:
        faults: By case identifier.
    """

    def __init__(self, faults: Faults, total: int, **words: str) -> None:
        super().__init__(told(faults, total, **words))
        self.faults = faults


def told(
    faults: Faults,
    total: int,
    *,
    what: str = "can't be converted",
    remedy: str = "Fix them, or convert the others with --skip-faulty.",
) -> str:
    """The message about all faulty cases, of `total` cases in all."""
    lines = [f"  {case}: {fault}" for case, found in sorted(faults.items()) for fault in found]
    return "\n".join([f"{len(faults)} of {total} cases {what}:", *lines, remedy])


def refuse(faults: Faults, total: int, skip_faulty: bool = False, **words: str) -> None:
    """Raises FaultyCases where cases are faulty, unless they are to be skipped and others are left."""
    if faults and (not skip_faulty or len(faults) == total):
        raise FaultyCases(faults, total, **words)


def find_faults(for_all: ForAll, check: Callable[[Any], list[str]], jobs: Sequence[Any], description: str) -> Faults:
    """The faults that a function finds in jobs, by the jobs' names."""
    return {job.name: found for job, found in for_all(check, jobs, description=description) if found}


def errors_are_faults(check: Callable[[Any], list[str]]) -> Callable[[Any], list[str]]:
    """Decorates a function that returns faults: what a damaged file raises becomes a fault."""

    @wraps(check)
    def faults(job: Any) -> list[str]:
        try:
            return check(job)
        except FAULT_TYPES as error:
            return [in_words(error)]

    return faults


def in_words(error: Exception) -> str:
    """One line for an error, without a library's source positions."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
