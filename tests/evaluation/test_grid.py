"""Which grids count as the same."""

import math

import pytest

from nnunet_eas.evaluation.grid import Grid, check_same_place

SIZE, SPACING, ORIGIN = (10, 8, 6), (1.25, 0.5, 3.0), (-20.0, 3.5, 100.0)
STRAIGHT = (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0)
GRID = Grid(SIZE, SPACING, ORIGIN, STRAIGHT)


def turned(degrees):
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return (cos, -sin, 0, sin, cos, 0, 0, 0, 1.0)


def test_corners():
    corners = GRID.corners()
    assert corners.min(axis=0).tolist() == [-20, 3.5, 100]
    assert corners.max(axis=0).tolist() == [-20 + 9 * 1.25, 3.5 + 7 * 0.5, 100 + 5 * 3]


def test_axes_turn_with_the_direction():
    # a quarter turn: x runs along the second axis, y against the first
    corners = Grid(SIZE, SPACING, (0, 0, 0), (0, -1, 0, 1, 0, 0, 0, 0, 1)).corners()
    assert corners.min(axis=0) == pytest.approx([-7 * 0.5, 0, 0])
    assert corners.max(axis=0) == pytest.approx([0, 9 * 1.25, 15])


@pytest.mark.parametrize(
    "other",
    [
        GRID,
        Grid(SIZE, (1.2500001, 0.5, 3.0), ORIGIN, STRAIGHT),  # single precision
        Grid(SIZE, SPACING, (-20.04, 3.5, 100.0), STRAIGHT),  # less than a tenth of 0.5 mm
        Grid(SIZE, SPACING, ORIGIN, turned(0.1)),
    ],
)
def test_rounding_is_forgiven(other):
    check_same_place(GRID, other)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (Grid((10, 8, 5), SPACING, ORIGIN, STRAIGHT), r"reference's size \(10, 8, 6\) \(x, y, z\), got \(10, 8, 5\)"),
        (Grid((10, 8), (1.25, 0.5), (0, 0), (1, 0, 0, 1)), r"got \(10, 8\)"),
        (Grid(SIZE, (1.25, 0.5, 3.1), ORIGIN, STRAIGHT), r"got spacing \(1.25, 0.5, 3.1\), not \(1.25, 0.5, 3.0\) \(x"),
        (Grid(SIZE, SPACING, (-20, 3.6, 100), STRAIGHT), r"got origin \(-20.0, 3.6, 100.0\), not .* 0.1 mm off"),
        (Grid(SIZE, SPACING, ORIGIN, turned(1)), r"got direction \(0.999848, .*Resample the prediction"),
        (Grid(SIZE, (1.25, 0.5, 2), (0, 3.5, 100), STRAIGHT), r"got spacing .*; origin "),
    ],
)
def test_differences_are_named(other, message):
    with pytest.raises(ValueError, match=message):
        check_same_place(GRID, other)
