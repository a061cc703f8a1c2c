"""Regions are the patient's, however the image lies."""

import numpy as np
import pytest
from morphometry.shells import numbers_of
from scipy.spatial.transform import Rotation

from nnunet_eas.morphometry.regions import REGIONS, in_patient, regions_of

DIRECTIONS = {
    "axial": np.eye(3),
    "sagittal": np.array([[0, 0, -1], [1, 0, 0], [0, -1, 0]]),
    "oblique": Rotation.from_euler("xyz", (14, -9, 11), degrees=True).as_matrix(),
    "mirrored and oblique": Rotation.from_euler("xyz", (5, 12, 8), degrees=True).as_matrix() @ np.diag([-1, 1, -1]),
}


def test_by_hand():
    # right is negative x, front is negative y; the extents are 9 mm and 10 mm
    x, y = np.meshgrid(np.linspace(0, 9, 10), np.linspace(-5, 5, 21))
    points = np.stack([x.ravel(), y.ravel(), np.full(x.size, 40)], axis=1)
    found = {tuple(point[:2]): REGIONS[number] for point, number in zip(points.tolist(), regions_of(points))}
    assert found[(0, -5)] == "right_anterior"
    assert found[(4, 0)] == "right_central"
    assert found[(5, -1.5)] == "left_central"
    assert found[(5, -2)] == "left_anterior"
    assert found[(9, 5)] == "left_posterior"


def test_strays_do_not_stretch_the_extent():
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 30, (2000, 3))
    points[:5] += 500
    moved = regions_of(points)[5:] != regions_of(points[5:])
    assert moved.mean() < 0.01


def test_array_axes_become_the_patient_s():
    sagittal = tuple(DIRECTIONS["sagittal"].ravel())  # columns: x index runs back, y index down, z index to the right
    assert in_patient(np.array([[3.0, 2.0, 1.0]]), sagittal).tolist() == [[-3, 1, -2]]


@pytest.mark.parametrize("name", DIRECTIONS)
def test_a_wedge_in_six_parts(name):
    direction, spacing_xyz = DIRECTIONS[name], np.array([0.5, 0.3, 0.4])
    axes = [np.arange(-25, 25, step) for step in spacing_xyz]
    index = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).transpose(2, 1, 0, 3)
    x, y, z = np.moveaxis(index @ direction.T, -1, 0)
    thickness = 2.5 + 0.05 * y + 0.02 * x
    mask = (np.abs(x) < 16) & (np.abs(y) < 15) & (z > 0) & (z < thickness)
    numbers = numbers_of(mask, spacing_xyz[::-1], tuple(direction.ravel().tolist()))
    for side, x_mm in (("right", -8), ("left", 8)):
        for third, y_mm in (("anterior", -10), ("central", 0), ("posterior", 10)):
            found = numbers[f"mean_thickness_{side}_{third}_mm"]
            assert found == pytest.approx(2.5 + 0.05 * y_mm + 0.02 * x_mm, abs=0.1), (side, third)
