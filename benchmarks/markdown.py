"""Markdown tables, and the blocks of a page that scripts write: between <!-- NAME --> and <!-- /NAME -->."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from nnunet_eas.support.files import write_text


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table."""
    return [f"| {' | '.join(cells)} |" for cells in (heads, ["---"] * len(heads), *rows)]


def put_between_marks(page: Path, name: str, text: str) -> None:
    """Replaces the text between the two marks of a block.

    Raises:
        ValueError: The page lacks one of the marks.
    """
    first, last = f"<!-- {name} -->", f"<!-- /{name} -->"
    before, begin, rest = page.read_text(encoding="utf-8").partition(first)
    _, end, after = rest.partition(last)
    if not end:
        raise ValueError(f"page must hold {first} and {last}, got {page} without them. Add both lines.")
    write_text(page, f"{before}{begin}\n\n{text}\n{end}{after}")
