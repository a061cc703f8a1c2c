"""A mask's outline as an SVG path along the voxels' edges."""

from __future__ import annotations

import numpy as np

Corner = tuple[int, int]  # row, column


def outline(mask: np.ndarray) -> str:
    """Closed paths around all parts and holes of a mask (rows, columns), in voxels; empty for an empty mask.

    The edges follow one after the other, so that a dashed line keeps its rhythm around every corner.
    """
    padded = np.pad(mask.astype(np.int8), 1)
    # lists, because two edges start where two parts touch at a corner
    across: dict[Corner, list[Corner]] = {}
    along: dict[Corner, list[Corner]] = {}
    # the inside lies to the right of each edge: a top edge leads to the right, a bottom edge to the left
    for line, start, stop in _runs(np.diff(padded[:, 1:-1], axis=0)):
        across.setdefault((line, start), []).append((line, stop))
    for line, start, stop in _runs(-np.diff(padded[1:-1], axis=1).T):
        along.setdefault((start, line), []).append((stop, line))
    return "".join(_walk(across, along, start) for start, ends in across.items() for _ in range(len(ends)) if ends)


def _walk(across: dict[Corner, list[Corner]], along: dict[Corner, list[Corner]], start: Corner) -> str:
    """One closed path; its edges are taken out of both dictionaries."""
    path, here = [f"M{start[1]} {start[0]}"], start
    while across.get(here):
        corner = across[here].pop()
        path.append(f"h{corner[1] - here[1]}")
        here = along[corner].pop()
        path.append(f"v{here[0] - corner[0]}")
    return "".join([*path[:-1], "z"])  # closing draws the last edge


def _runs(signs: np.ndarray) -> list[tuple[int, int, int]]:
    """(line, from, to) of each run of equal signs (lines, positions); backwards where they are negative."""
    bounded = np.pad(signs, ((0, 0), (1, 1)))
    first = (signs != 0) & (signs != bounded[:, :-2])
    last = (signs != 0) & (signs != bounded[:, 2:])
    runs = []
    for (line, start), (_, stop) in zip(np.argwhere(first).tolist(), np.argwhere(last).tolist(), strict=True):
        forward = signs[line, start] > 0
        runs.append((line, start, stop + 1) if forward else (line, stop + 1, start))
    return runs
