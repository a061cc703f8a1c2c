"""Checkpoints of nnU-Net, read without running anything that their pickle names."""

from __future__ import annotations

import errno
import os
import re
import zipfile
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nnunet_eas.support.errors import first_line

TRUST_VARIABLE = "NNUNET_EAS_TRUST"
"""Environment variable that, set to 1, lets checkpoints be loaded as nnU-Net does."""

_SCALAR = np.float32(0).__reduce__()[0]
_ARRAY = np.zeros(0).__reduce__()[0]

ALLOWED: tuple[Any, ...] = (
    # beside tensors and Python's own types, nnU-Net's checkpoints hold NumPy's; NumPy 1 and 2 name functions otherwise
    *((_SCALAR, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
    *((_ARRAY, f"numpy.{core}.multiarray._reconstruct") for core in ("core", "_core")),
    np.ndarray,
    np.dtype,
    *(type(np.dtype(name)) for name in ("bool", "int32", "int64", "float32", "float64")),
)
"""Objects outside PyTorch's own list that a checkpoint may name."""


def is_trusted(trust: bool) -> bool:
    """Whether the caller or the user's environment trusts what a file would run."""
    return trust or os.environ.get(TRUST_VARIABLE) == "1"


def read_checkpoint(path: str | Path, *, trust: bool = False) -> dict[str, Any]:
    """The content of a checkpoint, on the CPU; its weights are mapped, not read.

    Args:
        path: The file.
        trust: Load it as nnU-Net does, whatever its pickle runs. The environment variable NNUNET_EAS_TRUST does, too.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no whole checkpoint, or it would run something.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"The checkpoint must be a file, got {path}. Correct the path.")
    trust = is_trusted(trust)
    if fault := fault_of(path):
        raise ValueError(f"The checkpoint must be whole, got {path}, {fault}. Copy it anew, or take another one.")
    if not trust and (names := foreign_names(path)):
        raise ValueError(
            f"The checkpoint must hold nothing but what nnU-Net writes, got {path}, which would also load "
            f"{', '.join(names[:5])}. Loading may run anything; if you trust its source, give --trust, or set "
            f"{TRUST_VARIABLE}=1."
        )
    return load_whole(path, trust=trust)


def load_whole(path: Path, *, trust: bool = False) -> dict[str, Any]:
    """The content of a checkpoint that has been looked at; without `trust` nothing runs in any case.

    Raises:
        ValueError: It is none of nnU-Net's.
    """
    try:
        with _allowed():
            content = torch.load(path, map_location="cpu", weights_only=not trust, mmap=True)
    except Exception as error:  # a file of unknown origin may raise anything
        raise ValueError(
            f"The checkpoint must be nnU-Net's, got {path} ({_reason(error)}). Copy it anew, or take another one."
        ) from error
    if not isinstance(content, dict):
        raise ValueError(
            f"The checkpoint must hold a dictionary, got {type(content).__name__} in {path}. Only models that nnU-Net "
            "v2 has trained can be read."
        )
    return content


def fault_of(path: Path) -> str | None:
    """Says how a file differs from a whole archive of torch.save; None where it is one. Reads all of it."""
    if path.stat().st_size == 0:
        return "which is empty"
    if not zipfile.is_zipfile(path):
        return "which is cut off or of another format"
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
            # torch.save compresses nothing: what is read here is never larger than the file
            if any(part.compress_type for part in parts) or sum(part.file_size for part in parts) > path.stat().st_size:
                return "whose parts are compressed"
            damaged = archive.testzip()
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        return f"which cannot be read ({error})"
    return None if damaged is None else f"whose part {damaged} is damaged"


def foreign_names(path: Path) -> list[str]:
    """Names that a whole checkpoint's pickle would load beside tensors, Python's own types and `ALLOWED`.

    Raises:
        ValueError: The archive is none of torch.save's.
    """
    try:
        with _allowed():
            return sorted(torch.serialization.get_unsafe_globals_in_checkpoint(path))
    except Exception as error:  # a file of unknown origin may raise anything
        raise ValueError(
            f"The checkpoint must be nnU-Net's, got {path} ({_reason(error)}). Copy it anew, or take another one."
        ) from error


def _allowed() -> AbstractContextManager[None]:
    """PyTorch's list with `ALLOWED`, less what the caller has put there: PyTorch removes all of it in the end."""
    known = torch.serialization.get_safe_globals()
    return torch.serialization.safe_globals([one for one in ALLOWED if one not in known])


def _reason(error: Exception) -> str:
    """The part of PyTorch's long messages that says what is wrong."""
    text = str(error)
    found = re.search(r"WeightsUnpickler error:\s+(.+?)(?:\. |\.?$)", text, re.MULTILINE)
    return found[1] if found else first_line(error)


def sync(path: Path) -> None:
    """Waits until a file, or the names in a folder, are on the disk."""
    if path.is_dir() and os.name == "nt":
        return  # Windows syncs no folders
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems sync no folders
            raise
    finally:
        os.close(descriptor)
