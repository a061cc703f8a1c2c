"""Results of single cases, kept in a file until a command has all of them, so that it goes on after an interruption."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import nnunet_eas

Kept = TypeVar("Kept")


class KeptResults(Generic[Kept]):
    """A line of JSON for each case: its key and its result, a dataclass of plain values.

    The key has the state of the case's files and everything else that decides the result; a line with another key, or
    half a line, counts as nothing.
    """

    def __init__(self, path: str | Path | None, kind: type[Kept], *arguments: Any) -> None:
        """Reads what an interrupted call left.

        Args:
            path: The file; it need not exist. None keeps nothing.
            kind: The results' class.
            arguments: What decides all results, beside the cases' files.
        """
        assert is_dataclass(kind)
        self._path = None if path is None else Path(path)
        self._arguments = repr((nnunet_eas.__version__, kind.__name__, arguments))
        self._known: dict[str, Kept] = {}
        for line in _lines(self._path):
            try:
                key, values = json.loads(line)
                self._known[key] = kind(**values)
            except (ValueError, TypeError):
                continue

    def get(self, files: Sequence[Any]) -> Kept | None:
        """The result of a case with these files; None where it has none, and for images in memory."""
        key = self._key(files)
        return None if key is None else self._known.get(key)

    def add(self, files: Sequence[Any], result: Kept) -> None:
        """Appends the result of a case."""
        if self._path is not None and (key := self._key(files)) is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(f"\n{json.dumps([key, asdict(result)])}")  # type: ignore[call-overload]  # not behind half a line

    def _key(self, files: Sequence[Any]) -> str | None:
        if self._path is None or not all(isinstance(file, Path) and file.is_file() for file in files):
            return None
        states = [(str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
        return hashlib.sha256(repr((self._arguments, states)).encode()).hexdigest()


def _lines(path: Path | None) -> list[str]:
    try:
        return [] if path is None else path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
