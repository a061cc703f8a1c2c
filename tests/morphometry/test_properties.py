"""What must not depend on how an image is stored."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from morphometry.shells import STRAIGHT, numbers_of

from nnunet_eas.morphometry.measures import NUMBERS
from nnunet_eas.morphometry.regions import REGIONS

WHOLE = NUMBERS[:8]
FEW = settings(max_examples=10)


def make_cap(number, tilt):
    """Half of a hollow ellipsoid, its spacing, and the bone in it; the cut leans by up to `tilt` along each axis.

    `number(low, high)` draws each of its measures.
    """
    spacing = tuple(number(0.6, 1.2) for _ in range(3))
    radii = np.array([number(8, 13) for _ in range(3)])
    thickness = number(2, 3)
    axes = [np.arange(-r - 4, r + 5, step) + number(0, 1) * step for r, step in zip(radii, spacing)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    inner, outer = (np.linalg.norm(grid / r, axis=-1) < 1 for r in (radii, radii + thickness))
    cut = grid @ np.array([number(-tilt, tilt) for _ in range(2)] + [1.0]) > 0
    return outer & ~inner & cut, spacing, inner


@st.composite
def caps(draw):
    return make_cap(lambda low, high: draw(st.floats(low, high)), tilt=1.0)


def same(found, expected, names, *, rel):
    for name in names:
        assert found[name] == pytest.approx(expected[name], rel=rel, abs=1e-6, nan_ok=True), name


ORDERS = st.permutations(range(3))
WAYS = st.lists(st.sampled_from([1, -1]), min_size=3, max_size=3)


def turned_and_not(cap, order, ways):
    """The numbers of the same cap, stored with permuted and mirrored axes and as it is."""
    mask, spacing, bone = cap
    flips = tuple(slice(None, None, way) for way in ways)
    # each new array axis runs along an old one: x, y, z of the patient are the old array's
    direction = np.zeros((3, 3))
    for new, (old, way) in enumerate(zip(order, ways)):
        direction[2 - old, 2 - new] = way
    turned = (array.transpose(order)[flips] for array in (mask, bone))
    new_mask, new_bone = (np.ascontiguousarray(array) for array in turned)
    found = numbers_of(new_mask, [spacing[old] for old in order], tuple(direction.ravel()), new_bone)
    return found, numbers_of(mask, spacing, STRAIGHT, bone)


@FEW
@given(caps(), ORDERS, WAYS)
def test_permuted_and_mirrored_axes(cap, order, ways):
    found, expected = turned_and_not(cap, order, ways)
    assert found["volume_mm3"] == pytest.approx(expected["volume_mm3"], rel=1e-9)
    same(found, expected, ["surface_area_mm2", "mean_thickness_mm", "median_thickness_mm", "bone_area_mm2"], rel=0.01)


@pytest.mark.parametrize("seed", range(10))
def test_regions_of_permuted_and_mirrored_axes(seed):
    """Nearly level cuts, because steep ones leave regions so small that their means move by more than 5 %.

    Single points of a surface move the mean of a region by more than that in one of a hundred caps. Hypothesis finds
    one now and then, depending on the constants in the code around it; these ten are the first ten.
    """
    rng = np.random.default_rng(seed)
    cap = make_cap(rng.uniform, tilt=0.3)
    found, expected = turned_and_not(cap, rng.permutation(3), rng.choice([1, -1], 3))
    same(found, expected, [name for name in NUMBERS if any(region in name for region in REGIONS)], rel=0.05)


@FEW
@given(caps(), st.lists(st.integers(0, 5), min_size=6, max_size=6))
def test_empty_margins(cap, widths):
    mask, spacing, bone = cap
    around = [(widths[i], widths[i + 3]) for i in range(3)]
    found = numbers_of(np.pad(mask, around), spacing, bone=np.pad(bone, around))
    same(found, numbers_of(mask, spacing, bone=bone), NUMBERS, rel=1e-3)


@FEW
@given(caps(), st.sampled_from([0.5, 0.8, 1.25]))
def test_lengths_follow_the_spacing(cap, factor):
    mask, spacing, _ = cap
    found, expected = numbers_of(mask, [s * factor for s in spacing]), numbers_of(mask, spacing)
    powers = {"volume_mm3": 3, "surface_area_mm2": 2, "measured_share": 0}
    scaled = {name: expected[name] * factor ** powers.get(name, 1) for name in WHOLE}
    same(found, scaled, WHOLE, rel=1e-3)


@FEW
@given(caps())
def test_relations_between_the_numbers(cap):
    mask, spacing, bone = cap
    n = numbers_of(mask, spacing, bone=bone)
    assert n["p5_thickness_mm"] <= n["median_thickness_mm"] <= n["p95_thickness_mm"]
    assert 0 < n["measured_share"] <= 1
    assert 0 <= n["bare_area_mm2"] <= n["bone_area_mm2"] < n["surface_area_mm2"]
    regional = [n[name] for name in NUMBERS if any(region in name for region in REGIONS) and not math.isnan(n[name])]
    assert min(regional) <= n["mean_thickness_mm"] <= max(regional)
