"""One process at a time in a folder, by filelock: on every system, freed by the system when the process ends."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


class Busy(RuntimeError):
    """Another process holds the lock."""


@contextmanager
def locked(file: Path, wait_s: float = 0.0) -> Iterator[tuple[int, ...]]:
    """Holds a lock file for this process and for the children that inherit its descriptor.

    Args:
        file: The lock file; made where it is missing, with its folder, and left there.
        wait_s: How long to wait for another process; negative waits as long as it takes.

    Yields:
        The descriptors for `subprocess`'s `pass_fds`: a child that gets them holds the lock as long as it lives, even
        where this process is killed. Empty on Windows, whose children inherit no lock.

    Raises:
        Busy: Another process still holds it.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(file)
    try:
        lock.acquire(timeout=wait_s, poll_interval=0.2)
    except Timeout:
        raise Busy(f"{file} is held by another process.") from None
    try:
        yield inheritable(lock)
    finally:
        lock.release()


def is_held(file: Path) -> bool:
    """Whether a process holds a lock file. A missing file is not made; one that may not be written is taken as free."""
    if not file.is_file():
        return False
    try:
        with FileLock(file).acquire(timeout=0):
            return False
    except Timeout:
        return True
    except PermissionError:
        return False


def inheritable(lock: FileLock) -> tuple[int, ...]:
    """The lock's descriptor, where the system lets a child hold the lock by it."""
    descriptor = lock._context.lock_file_fd  # filelock has no public name for it
    return () if os.name == "nt" or descriptor is None else (descriptor,)
