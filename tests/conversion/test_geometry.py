"""Grids: a blank one is where the turned image is; what same and oblique mean."""

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from dataset_conversion.geometry import blank, obliquity_deg, oriented, place, same_place

SIZE, SPACING, ORIGIN = (4, 6, 5), (0.7, 1.1, 2.3), (-3.0, 8.0, 21.0)


def image_with(direction):
    image = sitk.Image(SIZE, sitk.sitkInt16)
    place(image, SPACING, ORIGIN, direction)
    return image


@pytest.mark.parametrize("seed", range(40))
def test_a_blank_grid_lies_where_the_turned_image_lies(seed):
    direction = Rotation.random(random_state=seed).as_matrix()
    turned = sitk.DICOMOrient(image_with(direction), "LPS")
    grid = blank(SIZE, SPACING, ORIGIN, direction)
    assert same_place(grid, turned, tolerance_mm=1e-9)
    assert grid.GetSpacing() == pytest.approx(turned.GetSpacing())


@pytest.mark.parametrize("seed", range(40))
def test_turning_is_what_simpleitk_does(seed):
    image = image_with(Rotation.random(random_state=seed).as_matrix())
    for n, index in enumerate(np.ndindex(*SIZE)):
        image[index] = n
    ours, theirs = oriented(image), sitk.DICOMOrient(image, "LPS")
    assert same_place(ours, theirs, tolerance_mm=1e-9)
    assert np.array_equal(sitk.GetArrayFromImage(ours), sitk.GetArrayFromImage(theirs))


def test_same_place():
    a, b = image_with(np.eye(3)), image_with(np.eye(3))
    assert same_place(a, b)
    b.SetOrigin((-3.0, 8.0, 21.02))
    assert not same_place(a, b)
    assert same_place(a, b, tolerance_mm=0.03)
    assert not same_place(a, a[:3])


def test_obliquity():
    tilted = image_with(Rotation.from_euler("y", 12, degrees=True).as_matrix())
    assert obliquity_deg(tilted) == pytest.approx(12)
    assert obliquity_deg(image_with(np.eye(3))) == 0
