"""What the tests of the conversion share."""

from __future__ import annotations

import hashlib
from pathlib import Path

# unequal edges and spacings: a swap of axes cannot pass; the whole knee is in it, so that every structure is
SMALL = {"shape": (20, 26, 9), "spacing": (4.6, 4.2, 10.2)}


def archive_options(archive, output, number=500):
    """The options that convert a phantom archive."""
    return ["oai-zib", "--archive", archive.masks, "--mri", archive.mri, "-d", number, "--output", output]


def contents(folder: Path) -> dict[str, str]:
    """A hash for every file below a folder."""
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }
