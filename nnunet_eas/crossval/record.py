"""What crossval writes beside a fold, for whoever looks at it: nnunet-eas status."""

from __future__ import annotations

import json
import os
import socket
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

FILE = "crossval.json"


@dataclass(frozen=True)
class Record:
    """The last attempt at a fold.

    Attributes:
        node: The machine.
        job: Slurm's number, or the process's.
        started: Seconds since 1970.
        error: What it ended with; empty while it runs and where it was trained.
    """

    node: str = field(default_factory=lambda: socket.gethostname().split(".")[0])
    job: str = field(default_factory=lambda: os.environ.get("SLURM_JOB_ID") or str(os.getpid()))
    started: float = field(default_factory=time.time)
    error: str = ""

    def write(self, folder: Path) -> None:
        """Whole or not at all."""
        partial = folder / f"{FILE}.part"
        partial.write_text(json.dumps(asdict(self)) + "\n", encoding="utf-8")
        partial.replace(folder / FILE)


def read_record(folder: Path) -> Record | None:
    """None where there is none, or none that can be read."""
    try:
        return Record(**json.loads((folder / FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
