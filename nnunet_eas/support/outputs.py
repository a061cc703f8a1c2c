"""Checks before the work that its results can be written."""

from __future__ import annotations

import os
from pathlib import Path


def check_output_file(path: Path, argument: str) -> None:
    """Checks that a file can be written, and makes its folder."""
    if path.is_dir():
        raise IsADirectoryError(f"{argument} must be a file, got the folder {path}. Give a name in it.")
    check_output_folder(path.parent, argument)


def check_output_folder(folder: Path, argument: str) -> None:
    """Makes a folder and checks that files can be written to it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(f"{argument} must lead to a folder, got {folder}: {error.strerror}. Give another.") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(f"{argument} must lead to a writable folder, got {folder}. Give another folder.")
