"""What cartilage covers of a bone, and where the bone is bare amid it: caps on a ball, whose areas are known."""

import math

import numpy as np
import pytest
from morphometry.shells import numbers_of

SPACING = (0.6, 0.5, 0.7)
RADIUS, CAP, HOLE = 18.0, 0.8, 0.25  # mm, radians from the top
HALF = np.array([24, 24, 24]) / SPACING


def cap_mm2(angle):
    return 2 * math.pi * RADIUS**2 * (1 - math.cos(angle))


@pytest.fixture(scope="module")
def ball():
    """Distance from the centre, angle from the top, angle around: at each voxel."""
    z, y, x = ((np.arange(-int(h), int(h) + 1) + 0.3) * step for h, step in zip(HALF, SPACING))
    z, y, x = np.broadcast_arrays(z[:, None, None], y[:, None], x)
    r = np.sqrt(z**2 + y**2 + x**2)
    return r, np.arccos(z / r), np.arctan2(y, x)


def areas(ball, cartilage, *, gap_mm=0.0):
    r, _, _ = ball
    numbers = numbers_of(cartilage & (r >= RADIUS + gap_mm) & (r < RADIUS + gap_mm + 2), SPACING, bone=r < RADIUS)
    return numbers["bone_area_mm2"], numbers["bare_area_mm2"]


def test_a_whole_cap(ball):
    bone, bare = areas(ball, ball[1] < CAP)
    assert bone == pytest.approx(cap_mm2(CAP), rel=0.02)
    assert bare == 0


def test_a_hole_is_bare_bone(ball):
    bone, bare = areas(ball, (ball[1] < CAP) & (ball[1] > HOLE))
    assert bone == pytest.approx(cap_mm2(CAP), rel=0.02)
    assert bare == pytest.approx(cap_mm2(HOLE), rel=0.05)


def test_what_is_open_to_the_edge_is_not(ball):
    bone, bare = areas(ball, (ball[1] < CAP) & (ball[1] > HOLE) & (np.abs(ball[2]) > 0.6))
    assert bare < 2
    assert bone < 0.9 * cap_mm2(CAP)


def test_a_narrow_gap_is_none(ball):
    assert areas(ball, ball[1] < CAP, gap_mm=0.5)[0] == pytest.approx(cap_mm2(CAP), rel=0.03)
    assert areas(ball, ball[1] < CAP, gap_mm=2.5) == (0, 0)


def test_stray_bone_is_no_hole(ball):
    r, angle, _ = ball
    bone = (r < RADIUS) | ((r > 22.5) & (r < 24) & (angle > 3))
    numbers = numbers_of((r >= RADIUS) & (r < RADIUS + 2) & (angle < CAP), SPACING, bone=bone)
    assert numbers["bare_area_mm2"] == 0
