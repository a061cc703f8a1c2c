import numpy as np
import pytest

from nnunet_eas.reporting.view import MOST_SLICES, shown_slices, start_slice, view_of

AXES = {"L": (1, 0, 0), "R": (-1, 0, 0), "P": (0, 1, 0), "A": (0, -1, 0), "S": (0, 0, 1), "I": (0, 0, -1)}


def direction(letters):
    """SimpleITK's matrix of an image whose x, y, z run towards these sides."""
    return tuple(np.array([AXES[letter] for letter in letters], dtype=float).T.ravel())


# what an array holds: how far towards the left, back and head a voxel lies
def positions(letters, shape=(3, 4, 5)):
    index = np.stack(np.indices(shape)[::-1], axis=-1)  # x, y, z
    return index @ np.array([AXES[letter] for letter in letters])


@pytest.mark.parametrize("letters", ["LPS", "RAS", "PIR", "ASL", "SLP", "IRA"])
@pytest.mark.parametrize(
    ("across", "caption", "down", "right"),
    [("RL", "sagittal", "I", "P"), ("AP", "coronal", "I", "L"), ("IS", "axial", "P", "L")],
)
def test_every_orientation_is_shown_the_same_way(letters, across, caption, down, right):
    coarse = next(axis for axis, letter in enumerate(letters[::-1]) if letter in across)  # in array order
    spacing = [2.0 if axis == coarse else 0.5 + 0.25 * axis for axis in range(3)]
    view = view_of(spacing, direction(letters))
    assert view.caption.startswith(caption)
    at = np.stack([view.turned(component) for component in np.moveaxis(positions(letters), -1, 0)], axis=-1)
    # one voxel down and one to the right lead there in the patient
    assert np.array_equal(at[0, 1, 0] - at[0, 0, 0], AXES[down])
    assert np.array_equal(at[0, 0, 1] - at[0, 0, 0], AXES[right])
    rows, columns = (
        next(a for a in range(3) if letters[2 - a] in pair)
        for pair in ("IS" if down == "I" else "AP", "AP" if right == "P" else "RL")
    )
    assert view.spacing == (spacing[rows], spacing[columns])


def test_an_oblique_image_is_shown_along_its_own_axes():
    tilted = np.reshape(direction("LPS"), (3, 3)) @ [[0.8, 0, 0.6], [0, 1, 0], [-0.6, 0, 0.8]]
    assert view_of((1, 1, 3), tuple(tilted.ravel())).caption.startswith("sagittal")


def test_of_equal_spacings_the_first_axis_counts():
    assert view_of((0.999, 1.0, 1.0), direction("LPS")).caption.startswith("axial")
    assert view_of((0.9, 1.0, 1.0), direction("LPS")).caption.startswith("coronal")


def test_a_single_slice_stays_as_it_is():
    view = view_of((0.5, 0.25), (1.0, 0.0, 0.0, 1.0))
    array = np.arange(6).reshape(2, 3)
    assert np.array_equal(view.turned(array), array[None])
    assert view.spacing == (0.5, 0.25)


def test_slices_bear_the_file_s_numbers():
    assert view_of((3, 1, 1), direction("LPS")).number(0, 5) == 1
    assert view_of((3, 1, 1), direction("LPI")).number(0, 5) == 5


def filled(length, *indices):
    array = np.zeros(length, dtype=bool)
    array[list(indices)] = True
    return array


def test_slices_with_foreground_and_a_margin():
    assert shown_slices(filled(12, 3, 4, 9), first=4) == [2, 3, 4, 5, 8, 9, 10]
    assert shown_slices(filled(3, 0, 2), first=0) == [0, 1, 2]
    assert shown_slices(filled(5), first=2) == [2]


@pytest.mark.parametrize("first", [1, 77, 100, 199])
def test_many_slices_are_thinned_out_around_the_first(first):
    shown = shown_slices(np.arange(200) > 0, first)
    assert len(shown) == len(set(shown)) == MOST_SLICES
    assert first in shown
    assert shown == sorted(shown)
    assert shown[0] <= 1
    assert shown[-1] == 199
    assert max(np.diff(shown)) <= 8


def test_the_slice_with_most_foreground_is_seen_first():
    assert start_slice(np.array([0, 2, 5, 5]), [np.array([9, 0, 0, 0])]) == 2
    assert start_slice(np.zeros(4, int), [np.array([1, 0, 0, 2]), np.array([2, 0, 0, 2])]) == 3
    assert start_slice(np.zeros(5, int), [np.zeros(5, int)]) == 2
