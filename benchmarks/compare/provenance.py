"""Fingerprints of sources, and the table of which commit made which result.

`results/provenance.json` has two lists:

- `sources`: a row for every fingerprint that a result has, or that the sources had since, with its networks and its
  commit. A row with `counts_as` computes the same as that earlier fingerprint: results of one are valid for the other.
- `results`: the script and the commit that made every file of `results`.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from nnunet_eas.support.files import read_json

TABLE = Path(__file__).resolve().parents[1] / "results" / "provenance.json"


def fingerprint(paths: Iterable[Path]) -> str:
    """A hash of Python files and folders; comments, docstrings and layout do not change it."""
    files = sorted(file for path in paths for file in (path.rglob("*.py") if path.is_dir() else [path]))
    trees = [ast.unparse(_without_docstrings(ast.parse(file.read_text(encoding="utf-8")))) for file in files]
    return hashlib.sha256("\0".join(trees).encode()).hexdigest()[:16]


def read() -> dict[str, list[dict[str, Any]]]:
    """The whole table."""
    return read_json(TABLE, "provenance")


def original(sources: str) -> str:
    """The earliest fingerprint that computes the same; results are filed under it."""
    return _originals().get(sources, sources)


def equivalents(sources: str) -> list[str]:
    """All fingerprints that compute the same, with this one."""
    originals = _originals()
    return [sources, *(other for other, counts_as in originals.items() if other != sources and counts_as == sources)]


def _originals() -> dict[str, str]:
    return {row["fingerprint"]: row.get("counts_as", row["fingerprint"]) for row in read()["sources"]}


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return tree
