"""The demo's folder: whose it is, what is finished in it, and that one run at a time works there."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

MARKER = "nnunet_eas_demo.json"
_FORMAT = 1


class Workspace:
    """A folder that only the demo writes into, with a stamp for each stage.

    A stamp holds the stage's fingerprint: its settings and those of every stage before it. A stage counts as finished
    only with the right fingerprint, so changed settings redo what depends on them, and nothing else.

    Args:
        root: The folder; made where it is missing.
        options: What the user chose and would lose if another choice went on in the same folder.

    Raises:
        FileExistsError: Where the folder holds anything that is not the demo's, or a demo with other options. It is
            left untouched.
        NotADirectoryError: Where it is a file.
    """

    def __init__(self, root: Path, options: dict[str, Any] | None = None) -> None:
        self.root = root.expanduser().absolute()
        if self.root.exists() and not self.root.is_dir():
            raise NotADirectoryError(f"--output must name a folder, got the file {self.root}. Choose another name.")
        marker = self.root / MARKER
        own = {marker.name, _beside(marker).name}  # a demo killed at its very start leaves the half marker
        if self.root.exists() and not marker.exists() and any(path.name not in own for path in self.root.iterdir()):
            raise FileExistsError(
                f"--output must be new, empty or an earlier demo's folder, got {self.root}, which holds something "
                "else. Nothing was changed. Choose another folder."
            )
        self.root.mkdir(parents=True, exist_ok=True)
        if not marker.exists():
            write_json(marker, {"made_by": "nnunet-eas demo", "format": _FORMAT, "options": options})
        made_with = json.loads(marker.read_text()).get("options", options)
        if made_with != options:
            raise FileExistsError(
                f"--output must be new, empty or a demo's folder with the same options, got {self.root}, made with "
                f"{made_with} and not {options}. Nothing was changed. Repeat those options, or choose another folder."
            )
        (self.root / "logs").mkdir(exist_ok=True)
        (self.root / "stages").mkdir(exist_ok=True)

    def stamp(self, stage: str) -> dict[str, Any]:
        """The stage's stamp; empty where it never began."""
        with suppress(FileNotFoundError, json.JSONDecodeError):
            return json.loads((self.root / "stages" / f"{stage}.json").read_text())
        return {}

    def begin(self, stage: str, fingerprint: str) -> None:
        """Notes that a stage is under way with these settings."""
        write_json(self.root / "stages" / f"{stage}.json", {"fingerprint": fingerprint, "finished": False})

    def finish(self, stage: str, fingerprint: str, seconds: float) -> None:
        """Notes that a stage is done."""
        content = {"fingerprint": fingerprint, "finished": True, "seconds": round(seconds, 1)}
        write_json(self.root / "stages" / f"{stage}.json", content)

    def forget(self, stage: str) -> None:
        """Makes a stage count as never begun; its files stay until it is redone."""
        (self.root / "stages" / f"{stage}.json").unlink(missing_ok=True)

    def remove(self, name: str) -> None:
        """Deletes one file or folder of the demo's."""
        path = self.root / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    def lock(self, patience_s: float = 180) -> int | None:
        """Keeps other demos out of the folder until this process *and the children that inherit the lock* have ended.

        A killed demo may leave an nnU-Net command behind that still writes; it ends at its next line of output, because
        nobody reads that any more. So a busy folder is waited for.

        Args:
            patience_s: How long.

        Returns:
            The file descriptor for children to inherit; None on systems without file locks of this kind.

        Raises:
            RuntimeError: Where the folder stays busy.
        """
        try:
            import fcntl
        except ImportError:
            return None
        descriptor = os.open(self.root / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        give_up = time.monotonic() + patience_s
        told = False
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return descriptor
            except OSError:
                if time.monotonic() > give_up:
                    raise RuntimeError(
                        f"--output must be used by one demo at a time, got {self.root}, where one is at work. "
                        "Wait for it, stop it, or choose another folder."
                    ) from None
                if not told:
                    print("Another demo, or what a killed one left, is at work in this folder: waiting.", flush=True)
                    told = True
                time.sleep(0.5)


def fingerprint(settings: dict[str, Any], before: str = "") -> str:
    """A short name for settings, together with those of the stages before."""
    return hashlib.sha256((before + json.dumps(settings, sort_keys=True)).encode()).hexdigest()[:16]


def write_json(path: Path, content: Any) -> None:
    """Writes beside and renames, so that no half file ever bears the name."""
    partial = _beside(path)
    partial.write_text(json.dumps(content, indent=2) + "\n")
    os.replace(partial, path)


def _beside(path: Path) -> Path:
    return path.with_name(path.name + ".partial")
