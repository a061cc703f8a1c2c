"""One conversion at a time in a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds `conversion/.lock` in a folder; it goes with the process, however that ends.

    Raises:
        RuntimeError: Another process holds it.
    """
    try:
        import fcntl
    except ImportError:  # no such locks on this system
        yield
        return
    (folder / "conversion").mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / "conversion" / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RuntimeError(
                f"{folder} must be written by one conversion at a time, got two. Wait for the other one, or stop it."
            ) from None
        yield
    finally:
        os.close(descriptor)
