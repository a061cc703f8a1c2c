"""The parts of a README that scripts write: between <!-- NAME --> and <!-- /NAME -->."""

from __future__ import annotations

from pathlib import Path


def put_between_marks(path: Path, name: str, text: str) -> None:
    """Replaces what stands between the two marks.

    Raises:
        SystemExit: The file has not both.
    """
    first, last = f"<!-- {name} -->", f"<!-- /{name} -->"
    before, begin, rest = path.read_text(encoding="utf-8").partition(first)
    _, end, after = rest.partition(last)
    if not end:
        raise SystemExit(f"--readme must hold {first} and {last}, got {path} without. Put them in.")
    part = path.with_name(f"{path.name}.part")
    part.write_text(f"{before}{begin}\n\n{text}\n{end}{after}", encoding="utf-8")
    part.replace(path)
