"""The tables of docs/explanation/cpu.md from the JSONs of cpu_paths.py and busy_machine.py."""

from __future__ import annotations

import statistics
from typing import Any

from benchmarks.markdown import table as rows_of

MEASURED = {"step": "step_seconds", "scan": "scan_seconds", "peak": "peak_bytes"}
"""Short names of the measurements, and their keys in a row of cpu_paths.py."""


def paths_table(content: dict[str, Any]) -> str:
    """One table for each number of threads: seconds and bytes with all paths, and how many times as much without one.

    Args:
        content: The JSON of cpu_paths.py.
    """
    rows = content["rows"]
    configurations = list(dict.fromkeys(row["configuration"] for row in rows))
    sizes = {row["configuration"]: row for row in rows}
    measured = "; ".join(
        f"{name}: step of {sizes[name]['batch_size']} patches of {_shape(sizes[name]['patch_size'])}, scan of "
        f"{_shape(sizes[name]['scan_shape'])}"
        for name in configurations
    )
    text = [f"{_processor(content)}. {measured}. Below the first row: how many times as much without one path.", ""]
    for threads in dict.fromkeys(row["threads"] for row in rows):
        found = {(row["configuration"], row["off"]): row for row in rows if row["threads"] == threads}
        without = dict.fromkeys(off for _, off in found)
        heads = [f"{threads} thread{'s' if threads > 1 else ''}, without"]
        heads += [f"{name} {what}" for name in configurations for what in MEASURED]
        cells = []
        for off in without:
            cells.append([off])
            for name in configurations:
                row, full = found.get((name, off)), found[name, "nothing"]
                cells[-1] += ["" if row is None else _cell(row, full, what) for what in MEASURED]
        text += [*rows_of(heads, cells), ""]
    return "\n".join(text[:-1]) + "\n"


def busy_table(content: dict[str, Any]) -> str:
    """A row for each setting: the step on the quiet machine, and beside a process that computes.

    Args:
        content: The JSON of busy_machine.py.
    """
    rows = content["rows"]
    cells = [
        [row["setting"], *(f"{row[f'{state}_step_seconds']['median']:.2f} s" for state in ("quiet", "busy"))]
        for row in rows
    ]
    step = f"a 2-D training step of {rows[0]['batch_size']} patches of {_shape(rows[0]['patch_size'])}"
    head = (
        f"{_processor(content)}: {step} on {content['cores']} cores, quiet, and beside one other process that computes."
    )
    return "\n".join([head, "", *rows_of(["setting", "quiet", "busy"], cells)]) + "\n"


def _cell(row: dict[str, Any], full: dict[str, Any], what: str) -> str:
    value, of_full = (_median(each[MEASURED[what]]) for each in (row, full))
    if row is not full:
        return f"{value / of_full:.2f}"
    return f"{value / 1e9:.2f} GB" if what == "peak" else f"{value:.2f} s"


def _median(values: float | list[float]) -> float:
    return float(statistics.median(values)) if isinstance(values, list) else values


def _shape(edges: list[int]) -> str:
    return " x ".join(map(str, edges))


def _processor(content: dict[str, Any]) -> str:
    found = content["environment"]
    return f"{found['processor']} ({found['cpu_capability']}), PyTorch {found['torch']}"
