"""Errors of the commands and of the Python functions under them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def printable(name: str) -> str:
    """A case's name for a message of one line, in quotes where it breaks lines or moves the cursor."""
    return name if name.isprintable() else repr(name)


def shown(value: object) -> str:
    """A value of unknown origin for a message of one line, at most some 100 characters of it."""
    whole = ascii(value)
    return whole if len(whole) <= 100 else f"{whole[:100]}..."


def first_line(error: Exception) -> str:
    """The first line of a library's message, or the error's name where it has none."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__


class PartialSuccess(RuntimeError):
    """Some cases failed; everything else was done and written.

    Attributes:
        result: What the function would have returned: the outcomes of the cases that went well.
        faults: The reason for every case that failed, by its name.
    """

    def __init__(self, message: str, result: Any, faults: Mapping[str, str]) -> None:
        super().__init__(message)
        self.result = result
        self.faults = dict(faults)
