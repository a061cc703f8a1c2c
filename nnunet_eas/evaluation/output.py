"""The results as files for programs: strict JSON, and CSV with a line for each case and structure."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nnunet_eas.evaluation.summary import COLUMNS


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Writes the whole content."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def write_csv(path: Path, content: Mapping[str, Any]) -> None:
    """Writes `per_case`; what is undefined stays empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(content["per_case"])
    write_text(path, text.getvalue())


def write_text(path: Path, text: str) -> None:
    """Writes beside and renames, so that no half file ever bears the name."""
    partial = path.with_name(f"{path.name}.partial")
    try:
        partial.write_text(text, encoding="utf-8", newline="\n")
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
