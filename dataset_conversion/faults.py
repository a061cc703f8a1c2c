"""What is wrong with the cases of a source, collected and told at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

FAULT_TYPES = (ValueError, RuntimeError, OSError)
"""What reading a damaged file can raise: our own rules, SimpleITK's and pydicom's errors, the file system's."""


class FaultyCases(ValueError):
    """Raised once for all cases that can't be converted.

    Args:
        faults: Per case identifier, what is wrong and what to do, one sentence or more each.
        total: How many cases there are in all.
        what: What is the matter with them all.
        remedy: What to do.

    Attributes:
        faults: The same.
    """

    def __init__(
        self,
        faults: Mapping[str, Sequence[str]],
        total: int,
        *,
        what: str = "can't be converted",
        remedy: str = "Mend them, or convert the others with --skip-faulty.",
    ) -> None:
        self.faults = {case: list(found) for case, found in sorted(faults.items())}
        lines = [f"  {case}: {fault}" for case, found in self.faults.items() for fault in found]
        super().__init__(f"{len(self.faults)} of {total} cases {what}:\n" + "\n".join(lines) + f"\n{remedy}")


def in_words(error: Exception) -> str:
    """One line for an error, without a library's source positions."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
