"""ZIP archives of unknown origin, refused where they could write elsewhere or hold more than their size."""

from __future__ import annotations

import stat
import struct
import unicodedata
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from nnunet_eas.support.errors import first_line, shown

MOST_MEMBERS = 10_000
LARGEST_TEXT = 16 * 2**20  # bytes, of a JSON or Markdown member, and of the archive's list of members

_FORBIDDEN = '\\:*?"<>|'  # Windows: folders, drives, streams, patterns
_NUMBERED = {f"{name}{digit}" for name in ("COM", "LPT") for digit in "0123456789¹²³"}
_DEVICES = {"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"} | _NUMBERED
_LONGEST_NAME = 400  # characters
_END, _LOCATOR_64, _END_64 = 22, 20, 56  # bytes of the records at an archive's end, from the last


class SafeArchive:
    """The members of a checked archive, whose names lead nowhere outside a folder on any system."""

    def __init__(self, path: Path, archive: zipfile.ZipFile, remedy: str) -> None:
        self.path = path
        self._archive = archive
        self._remedy = remedy
        self.sizes = {info.filename: info.file_size for info in archive.infolist()}  # bytes, by name

    def refuse(self, rule: str, got: str) -> ValueError:
        """The error for a broken rule; `got` may come from the archive."""
        return _refused(self.path, rule, got, self._remedy)

    def read(self, name: str) -> bytes:
        """The content of a member, which is in the archive."""
        try:
            return self._archive.read(name)
        except Exception as error:  # a file of unknown origin may raise anything
            raise self.refuse("be whole", f"{shown(name)}, which cannot be read ({first_line(error)}),") from error

    def read_text(self, name: str) -> bytes:
        """The content of a member of at most `LARGEST_TEXT` bytes."""
        if self.sizes[name] > LARGEST_TEXT:
            got = f"{self.sizes[name]} bytes of {shown(name)}"
            raise self.refuse(f"hold texts of at most {LARGEST_TEXT} bytes", got)
        return self.read(name)


@contextmanager
def open_archive(path: Path, remedy: str) -> Iterator[SafeArchive]:
    """Opens an archive after checks of its list of members, before any of them is read.

    Members are stored without compression, so that no archive unpacks to more than its own size.

    Args:
        path: The file.
        remedy: What to do with a refused file, the last sentence of every error.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It breaks a rule.
    """
    if not path.is_file():
        raise FileNotFoundError(f"The packed file must be a file, got {path}. Correct the path.")
    with path.open("rb") as file:
        try:
            _check_list(file)
            archive = zipfile.ZipFile(file)
            broken = _broken_rule(archive, file)
        except Exception as error:  # a file of unknown origin may raise anything
            raise _refused(path, "be a whole ZIP archive", first_line(error), remedy) from error
        with archive:
            if broken:
                raise _refused(path, *broken, remedy)
            yield SafeArchive(path, archive, remedy)


def fault_of_name(name: str) -> str | None:
    """Says why a member's name could lead outside a folder on some system, or to a device; None for a safe one."""
    if not name or len(name) > _LONGEST_NAME or not name.isprintable():
        return "is empty, too long, or has characters that do not print"
    if any(character in _FORBIDDEN for character in name):
        return f"has one of {_FORBIDDEN}"
    for part in name.split("/"):  # of an absolute name, or a folder's, one part is empty
        if part in ("", ".", ".."):
            return "is absolute, a folder, or leads upwards"
        if part[-1] in ". " or len(part.encode()) > 255:
            return "ends in a dot or a space, or is too long"
        if part.split(".")[0].rstrip().upper() in _DEVICES:
            return "is a device's on Windows"
    return None


def _check_list(file: BinaryIO) -> None:
    """Raises ValueError where the list of members is larger than that of any packed file: it is read at once."""
    size = file.seek(0, 2)
    file.seek(max(0, size - _END - _LOCATOR_64 - _END_64))
    before, end = (tail := file.read())[:-_END], tail[-_END:]
    if len(end) < _END or not end.startswith(b"PK\x05\x06") or not end.endswith(b"\0\0"):
        raise ValueError("no end of an archive")
    (length,) = struct.unpack_from("<L", end, 12)
    if before[-_LOCATOR_64:].startswith(b"PK\x06\x07"):  # more than 4 GB: the numbers lie in front of the end
        (place,) = struct.unpack_from("<Q", before[-_LOCATOR_64:], 8)
        if not before.startswith(b"PK\x06\x06") or place != size - len(tail):
            raise ValueError("no end of an archive")
        (length,) = struct.unpack_from("<Q", before, 40)
    if length > LARGEST_TEXT:
        raise ValueError(f"a list of members of {length} bytes")


def _broken_rule(archive: zipfile.ZipFile, file: BinaryIO) -> tuple[str, str] | None:
    """The first rule that the members break, and the value that breaks it."""
    size, members = file.seek(0, 2), archive.infolist()
    if len(members) > MOST_MEMBERS:
        return f"hold at most {MOST_MEMBERS} members", str(len(members))
    names: dict[str, str] = {}
    for member in members:
        name = member.orig_filename  # `filename` ends at a null character
        if fault := fault_of_name(name) or ("has two forms" if name != member.filename else None):
            return "hold names of files in its own folder", f"{shown(name)}, which {fault},"
        if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG):
            return "hold files only", f"the link or device {shown(name)}"
        is_stored = member.compress_type == zipfile.ZIP_STORED and member.compress_size == member.file_size
        if member.flag_bits & 1 or not is_stored:
            return "hold members that are neither compressed nor encrypted", shown(name)
        # file systems of Windows and macOS take names for the same that differ in case or composition
        key = unicodedata.normalize("NFC", name.casefold())
        if key in names:
            return "hold each name once", f"{shown(names[key])} and {shown(name)}"
        names[key] = name
    for key, name in names.items():
        if any(key[:end] in names for end in range(len(key)) if key[end] == "/"):
            return "hold each name once", f"{shown(name)} in a folder that is a file, too,"
    if (total := sum(member.file_size for member in members)) > size:
        return "hold no more than its own size", f"{total} bytes in {size}"
    end = 0
    for member in sorted(members, key=lambda member: member.header_offset):
        file.seek(max(0, member.header_offset))
        header = file.read(30)
        if member.header_offset < end or len(header) < 30:
            return "hold members one behind the other", shown(member.filename)
        end = member.header_offset + 30 + sum(struct.unpack_from("<HH", header, 26)) + member.file_size
    if end > archive.start_dir:
        return "hold members one behind the other", "one that reaches into the list of members"
    return None


def _refused(path: Path, rule: str, got: str, remedy: str) -> ValueError:
    return ValueError(f"The packed file must {rule}, got {got} in {path}. {remedy}")
