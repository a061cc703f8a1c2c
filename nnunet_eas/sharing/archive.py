"""A packed file being written: the same members give the same bytes, on every system and day."""

from __future__ import annotations

import hashlib
import json
import stat
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nnunet_eas.inference.packed_file import MANIFEST, WEIGHTS
from nnunet_eas.support.files import replacing
from nnunet_eas.support.safe_archive import LARGEST_TEXT, fault_of_name


class Archive:
    """Takes members one after the other."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._members: dict[str, dict[str, Any]] = {}

    def add(self, name: str, content: bytes) -> None:
        """Adds a member, which `unpack` will accept."""
        if fault := fault_of_name(name):
            raise ValueError(f"names of models must be file names on every system, got {name}, which {fault}. Rename.")
        if len(content) > LARGEST_TEXT and not name.endswith(WEIGHTS):
            raise ValueError(f"{name} must have at most {LARGEST_TEXT} bytes, got {len(content)}. Make it smaller.")
        self._members[name] = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        self._write(name, content)

    def add_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Adds a JSON member."""
        self.add(name, _json(content))

    def add_manifest(self, content: Mapping[str, Any]) -> None:
        """Adds the manifest with the size and hash of every other member."""
        self._write(MANIFEST, _json({**content, "members": dict(sorted(self._members.items()))}))

    def _write(self, name: str, content: bytes) -> None:
        member = zipfile.ZipInfo(name)  # of 1980, ZIP's first year
        member.create_system, member.external_attr = 3, (stat.S_IFREG | 0o644) << 16  # as on Unix
        self._archive.writestr(member, content)


@contextmanager
def new_archive(path: Path) -> Iterator[Archive]:
    """An archive that gets its name at the end of the block; where the block raises, there is none."""
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        yield Archive(archive)


def _json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=2) + "\n").encode()
