"""Faults of cases: collected, and told in one error."""

from __future__ import annotations

Faults = dict[str, list[str]]
"""By case identifier, what is wrong with the case and what to do, one sentence or more each."""

FAULT_TYPES = (ValueError, RuntimeError, OSError)
"""What reading a damaged file can raise: our own rules, SimpleITK's and pydicom's errors, the file system's."""


class FaultyCases(ValueError):
    """Some cases are faulty, and none was to be skipped.

    Args:
        faults: By case identifier.
        total: Number of all cases.
        words: As in `told`.

    Attributes:
        faults: The same.
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


def in_words(error: Exception) -> str:
    """One line for an error, without a library's source positions."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
