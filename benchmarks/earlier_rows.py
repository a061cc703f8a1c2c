"""Rows of an earlier call, which the next call completes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def earlier_rows(path: Path, measured_as: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of a JSON, or none where there is no such file.

    Args:
        path: The JSON, with `rows` beside `measured_as`.
        measured_as: What all rows have in common: the arch format, the device, ...

    Raises:
        SystemExit: The file's rows were measured otherwise.
    """
    if not path.is_file():
        return []
    content: dict[str, Any] = json.loads(path.read_text())
    if different := [f"{key} {content.get(key)}" for key in measured_as if content.get(key) != measured_as[key]]:
        raise SystemExit(
            f"{path} must have been measured with {measured_as} to be completed, got {', '.join(different)}. Give "
            "another file, or remove that one."
        )
    rows: list[dict[str, Any]] = content["rows"]
    return rows
