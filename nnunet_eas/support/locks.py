"""One process at a time in a folder, by filelock: on every system, freed by the system when the process ends."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

LOOK_S = 0.2  # longer than another process looks at a lock


class Busy(RuntimeError):
    """Another process holds the lock."""


@contextmanager
def locked(file: Path, wait_s: float = 0.0) -> Iterator[tuple[int, ...]]:
    """Holds a lock file, which is made where it is missing; raises `Busy` where another process still holds it.

    A negative `wait_s` waits as long as it takes. Yields the descriptors for `subprocess`'s `pass_fds`: a child that
    gets them holds the lock as long as it lives, even where this process is killed. On Windows there are none.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(file)
    try:
        lock.acquire(timeout=wait_s, poll_interval=LOOK_S / 4)
    except Timeout:
        raise Busy(f"{file} is held by another process.") from None
    descriptor = lock._context.lock_file_fd  # filelock has no public name for it
    try:
        yield () if os.name == "nt" or descriptor is None else (descriptor,)
    finally:
        lock.release()


def is_held(file: Path) -> bool:
    """Whether a process holds a lock file. A missing file is not made; one that may not be written is taken as free."""
    # looking takes the lock for an instant, so whoever looks at the same time, or takes it, has to wait that long
    if not file.is_file():
        return False
    try:
        with FileLock(file).acquire(timeout=LOOK_S, poll_interval=LOOK_S / 4):
            return False
    except Timeout:
        return True
    except PermissionError:
        return False
