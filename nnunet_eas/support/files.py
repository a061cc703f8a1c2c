"""Writes files whole or not at all, and reads JSON with an error that names the file."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PARTIAL = ".partial_"  # start of a temporary file's name


@contextmanager
def replacing(path: Path, folder: Path | None = None) -> Iterator[Path]:
    """Yields a temporary name; what was written there gets the name `path` at the end of the block.

    The temporary name keeps the ending, because many libraries choose the format by it. Where the block raises, the
    temporary file is removed and `path` stays as it was. It lies in `folder`, on the same disk; None is beside `path`.
    """
    temporary = (folder or path.parent) / f"{PARTIAL}{os.getpid()}_{path.name}"
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno == errno.ENOSPC and error.filename is None:
            raise OSError(error.errno, error.strerror, str(path)) from error  # writing knows no name
        raise


def write_bytes(path: Path, content: bytes, folder: Path | None = None) -> None:
    """Writes bytes, whole or not at all; `folder` as in `replacing`."""
    with replacing(path, folder) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Writes UTF-8 with Unix line ends, whole or not at all."""
    write_bytes(path, text.encode())


def write_json(path: Path, content: Mapping[str, Any] | list[Any], indent: int | None = 2) -> None:
    """Writes strict JSON, without NaN and infinity, whole or not at all."""
    write_text(path, json.dumps(content, indent=indent, allow_nan=False) + "\n")


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Writes a table, whole or not at all; None is an empty cell."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def read_json(path: Path, what: str, remedy: str | None = None, *, keys: Sequence[str] | None = None) -> Any:
    """Reads JSON.

    Args:
        path: The file.
        what: Its part in the command, for an error: "-djfile", "plans".
        remedy: The last sentence of an error.
        keys: What the file must hold, if not None: an object with at least these keys.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no whole JSON, or no object with the keys.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{what} must be a file, got {path}. {remedy or 'Correct the path.'}")
    remedy = remedy or "Copy or write it anew."
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # the latter for thousands of brackets
        raise ValueError(f"{what} must be whole JSON, got {path} ({error}). {remedy}") from error
    if keys is not None and not (isinstance(content, dict) and set(keys) <= set(content)):
        having = f"with {', '.join(keys)}" if keys else "in braces"
        raise ValueError(f"{what} must be an object {having}, got another content in {path}. {remedy}")
    return content


def read_csv(path: Path, what: str) -> list[dict[str, str]]:
    """Reads a table with heads; a cell that a row lacks is empty.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no text, or no table.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{what} must be a file, got {path}. Correct the path.")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return [
                {head: cell for head, cell in row.items() if head is not None}
                for row in csv.DictReader(file, restval="", strict=True)
            ]
    except (ValueError, csv.Error) as error:
        raise ValueError(f"{what} must be a table in UTF-8, got {path} ({error}). Write it anew.") from error
