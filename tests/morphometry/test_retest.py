"""The same phantom knee, scanned twice: shifted by half a voxel, and on another grid."""

import pytest
from morphometry.shells import numbers_of

from nnunet_eas.phantom import LABELS, knee

# The grid is centred on the knee: one voxel more along each axis shifts it by half of one. Along each axis the phantom
# looks at an odd number of points in a voxel: where two labels have half of an even number, it draws less cartilage.
GRIDS = {
    "first": ((150, 160, 70), (0.72, 0.74, 1.45)),
    "half a voxel on": ((151, 161, 71), (0.72, 0.74, 1.45)),
    "another grid": ((155, 170, 78), (0.7, 0.7, 1.3)),
}
PAIRS = (("femoral_cartilage", "femur"), ("tibial_cartilage", "tibia"))


@pytest.fixture(scope="module")
def scans():
    numbers = {}
    for name, (shape, spacing) in GRIDS.items():
        labels = knee(seed=0, shape=shape, spacing=spacing).segmentation
        numbers[name] = {
            cartilage: numbers_of(labels == LABELS[cartilage], spacing, bone=labels == LABELS[bone])
            for cartilage, bone in PAIRS
        }
    return numbers


@pytest.mark.slow
@pytest.mark.parametrize("cartilage", [pair[0] for pair in PAIRS])
@pytest.mark.parametrize("again", list(GRIDS)[1:])
def test_the_numbers_stay(scans, again, cartilage):
    first, second = scans["first"][cartilage], scans[again][cartilage]
    assert second["volume_mm3"] == pytest.approx(first["volume_mm3"], rel=0.02)
    assert second["surface_area_mm2"] == pytest.approx(first["surface_area_mm2"], rel=0.02)
    assert second["bone_area_mm2"] == pytest.approx(first["bone_area_mm2"], rel=0.02)
    assert second["mean_thickness_mm"] == pytest.approx(first["mean_thickness_mm"], abs=0.1)
    assert second["median_thickness_mm"] == pytest.approx(first["median_thickness_mm"], abs=0.1)
    # only its holes are of a few square millimetres, which hang on single voxels
    assert abs(second["bare_area_mm2"] - first["bare_area_mm2"]) < 0.01 * first["bone_area_mm2"]
