import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays

from nnunet_eas.reporting.outline import outline


def mask(*rows):
    return np.array([[character == "#" for character in row] for row in rows])


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (["..", ".."], ""),
        (["....", ".##."], "M1 1h2v1h-2z"),
        (["#..", "##."], "M0 0h1v1h1v1h-2z"),
        (["###", "#.#", "###"], "M0 0h3v3h-3zM2 1h-1v1h1z"),
    ],
)
def test_paths(rows, expected):
    assert outline(mask(*rows)) == expected


def test_parts_that_touch_at_a_corner():
    """One path through the corner or two around it: both enclose the same."""
    for rows in ((".#", "#."), ("#.", ".#")):
        assert area(outline(mask(*rows))) == 2


@given(arrays(bool, (5, 7)))
def test_what_the_paths_enclose_is_the_mask(array):
    path = outline(array)
    assert area(path) == array.sum()
    assert length(path) == sum(np.abs(np.diff(np.pad(array.astype(int), 1), axis=axis)).sum() for axis in (0, 1))


def corners(path):
    for part in filter(None, path.split("z")):
        start = re.match(r"M(\d+) (\d+)", part)
        x, y = int(start[1]), int(start[2])
        points = [(x, y)]
        for kind, step in re.findall(r"([hv])(-?\d+)", part):
            x, y = (x + int(step), y) if kind == "h" else (x, y + int(step))
            points.append((x, y))
        yield points


def edges(path):
    for points in corners(path):
        yield from zip(points, points[1:] + points[:1], strict=True)


def area(path):
    """By the shoelace formula; holes run the other way round."""
    return sum(x * other_y - other_x * y for (x, y), (other_x, other_y) in edges(path)) / 2


def length(path):
    return sum(abs(x - other_x) + abs(y - other_y) for (x, y), (other_x, other_y) in edges(path))
