"""A mask's outline as an SVG path along the voxels' edges."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

Corner = tuple[int, int]  # row, column
Edges = defaultdict[Corner, list[Corner]]  # ends by start: two edges start where two parts touch at a corner


def outline(mask: np.ndarray) -> str:
    """Closed paths around all parts and holes of a mask (rows, columns), in voxels; empty for an empty mask.

    The edges follow one after the other, so that a dashed line keeps its rhythm around every corner.
    """
    padded = np.pad(mask.astype(np.int8), 1)
    across: Edges = defaultdict(list)
    along: Edges = defaultdict(list)
    # the inside lies to the right of each edge: a top edge leads to the right, a bottom edge to the left
    for line, start, stop in _runs(np.diff(padded[:, 1:-1], axis=0)):
        across[line, start].append((line, stop))
    for line, start, stop in _runs(-np.diff(padded[1:-1], axis=1).T):
        along[start, line].append((stop, line))
    path = []
    for corner in list(across):
        if not across[corner]:
            continue
        path.append(f"M{corner[1]} {corner[0]}")
        while across[corner]:
            turn = across[corner].pop()
            end = along[turn].pop()
            path += [f"h{turn[1] - corner[1]}", f"v{end[0] - turn[0]}"]
            corner = end
        path[-1] = "z"  # closing draws the last edge
    return "".join(path)


def _runs(signs: np.ndarray) -> list[tuple[int, int, int]]:
    """(line, from, to) of each run of equal signs (lines, positions); backwards where they are negative."""
    bounded = np.pad(signs, ((0, 0), (1, 1)))
    first = np.argwhere((signs != 0) & (signs != bounded[:, :-2])).tolist()
    last = np.argwhere((signs != 0) & (signs != bounded[:, 2:])).tolist()
    return [
        (line, start, stop + 1) if signs[line, start] > 0 else (line, stop + 1, start)
        for (line, start), (_, stop) in zip(first, last, strict=True)
    ]
