"""Memory that is freed stays with the process, to be used again: on the CPU a network is far faster then."""

from __future__ import annotations

import ctypes
import os

VARIABLE = "NNUNET_EAS_KEEP_MEMORY"
"""Set to 0 it leaves the allocator as it is."""

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of glibc's malloc.h


def keep_freed_memory() -> bool:
    """Tells glibc's allocator not to return freed memory to the system while the process lives.

    By default it returns every large block, and takes it anew for the next map: the system then fills it with zeros
    page by page, which can take as long as the convolution behind it. The process holds the most that it ever needed,
    and somewhat more than that, as blocks of different sizes don't fit into each other's gaps.

    Returns:
        Whether it did: not where the variable says no, and not without glibc.
    """
    if os.environ.get(VARIABLE) == "0":
        return False
    try:
        libc = ctypes.CDLL("libc.so.6")
    except OSError:  # macOS, Windows, musl
        return False
    return bool(libc.mallopt(M_MMAP_MAX, 0)) and bool(libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1))
