"""The demo's folder: who may use it, which stages are finished in it, and one run at a time."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nnunet_eas.support.files import read_json, write_json
from nnunet_eas.support.locks import Busy, is_held, locked

MARKER = "nnunet_eas_demo.json"


class Workspace:
    """A folder that only the demo writes into, with a stamp for each stage.

    A stamp holds the stage's fingerprint: its settings and those of every stage before it. A stage counts as finished
    only with the right fingerprint, so changed settings repeat the stages that depend on them, and no others.

    A folder keeps the user's options that it was made with. One that holds something else, or a demo with other
    options, is refused and left untouched.
    """

    def __init__(self, root: Path, options: dict[str, Any] | None = None) -> None:
        self.root = root.expanduser().absolute()
        if self.root.exists() and not self.root.is_dir():
            raise NotADirectoryError(f"--output must name a folder, got the file {self.root}. Choose another name.")
        marker = self.root / MARKER
        # a demo that was killed at its very start leaves a temporary file, whose name contains the marker's
        if self.root.exists() and not marker.exists() and any(MARKER not in f.name for f in self.root.iterdir()):
            raise FileExistsError(
                f"--output must be new, empty or an earlier demo's folder, got {self.root}, which holds something "
                "else. Nothing was changed. Choose another folder."
            )
        self.root.mkdir(parents=True, exist_ok=True)
        if not marker.exists():
            write_json(marker, {"made_by": "nnunet-eas demo", "format": 1, "options": options})
        made_with = read_json(marker, "the demo's folder", keys=()).get("options", options)
        if made_with != options:
            raise FileExistsError(
                f"--output must be new, empty or a demo's folder with the same options, got {self.root}, made with "
                f"{made_with} and not {options}. Nothing was changed. Repeat those options, or choose another folder."
            )
        (self.root / "stages").mkdir(exist_ok=True)

    def stamp(self, stage: str) -> dict[str, Any]:
        """The stage's stamp; empty where it never began."""
        file = self.root / "stages" / f"{stage}.json"
        return read_json(file, file.name, keys=()) if file.is_file() else {}

    def write_stamp(self, stage: str, fingerprint: str, seconds: float | None = None) -> None:
        """Notes that a stage with these settings has begun, or has finished after so many seconds."""
        finished = {} if seconds is None else {"seconds": round(seconds, 1)}
        content = {"fingerprint": fingerprint, "finished": bool(finished), **finished}
        write_json(self.root / "stages" / f"{stage}.json", content)

    def remove(self, name: str) -> None:
        """Deletes one file or folder of the demo, where it exists."""
        path = self.root / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    def empty(self, name: str) -> Path:
        """Makes an empty folder; what an interrupted run left in it is deleted."""
        self.remove(name)
        folder = self.root / name
        folder.mkdir()
        return folder

    @contextmanager
    def lock(self, wait_s: float = 180) -> Iterator[tuple[int, ...]]:
        """Keeps other demos out until this process and the children that inherit the yielded descriptors have ended.

        A killed demo may leave an nnU-Net command behind that still writes. The command ends at its next line of
        output, which no process reads any more, so this waits for a busy folder.
        """
        file = self.root / ".lock"
        if is_held(file):
            print("Another demo, or what a killed one left, is at work in this folder: waiting.", flush=True)
        try:
            with locked(file, wait_s) as descriptors:
                yield descriptors
        except Busy:
            raise RuntimeError(
                f"--output must be used by one demo at a time, got {self.root}, where one is at work. "
                "Wait for it, stop it, or choose another folder."
            ) from None


def fingerprint(settings: dict[str, Any], before: str = "") -> str:
    """A short name for the settings of a stage together with those of the stages before it."""
    return hashlib.sha256((before + json.dumps(settings, sort_keys=True)).encode()).hexdigest()[:16]
