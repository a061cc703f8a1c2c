"""Folder of a conversion: `conversion/` in it holds settings, records of the cases, and unfinished files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nnunet_eas.support.files import PARTIAL
from nnunet_eas.support.locks import Busy, locked

CONVERSION = Path("conversion")
SETTINGS = CONVERSION / "settings.json"


@contextmanager
def one_conversion_at_a_time(folder: Path) -> Iterator[None]:
    """Locks the folder for this process, and removes the unfinished files of an interrupted conversion."""
    try:
        with locked(folder / CONVERSION / ".lock"):
            for unfinished in list(folder.rglob(f"{PARTIAL}*")):
                unfinished.unlink()
            yield
    except Busy:
        raise RuntimeError(
            f"{folder} must be written by one conversion at a time, got two. Wait for the other one, or stop it."
        ) from None


def sha256(path: Path) -> str:
    """Digest of a file's content."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
