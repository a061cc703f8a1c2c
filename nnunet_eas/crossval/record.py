"""The file that crossval writes beside a fold, for `nnunet-eas status`."""

from __future__ import annotations

import os
import socket
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from nnunet_eas.support.files import read_json, write_json

FILE = "crossval.json"


@dataclass(frozen=True)
class Record:
    """The last attempt at a fold."""

    node: str = field(default_factory=lambda: socket.gethostname().split(".")[0])
    job: str = field(default_factory=lambda: os.environ.get("SLURM_JOB_ID") or str(os.getpid()))
    started: float = field(default_factory=time.time)  # seconds since 1970
    error: str = ""  # what ended the attempt; empty while it runs and where it was trained

    def write(self, folder: Path) -> None:
        """Writes the record, whole or not at all."""
        write_json(folder / FILE, asdict(self), indent=None)


def read_record(folder: Path) -> Record | None:
    """The folder's record; None where there is none, or none that can be read."""
    try:
        return Record(**read_json(folder / FILE, FILE, keys=()))
    except (OSError, ValueError, TypeError):
        return None
