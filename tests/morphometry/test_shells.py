"""Volume, surface and thickness of layers for which they are known, and of solids that are no layers."""

import math

import numpy as np
import pytest
import SimpleITK as sitk
from morphometry.shells import OAI, STRAIGHT, layer, numbers_of

from nnunet_eas.evaluation.metrics import volume_mm3
from nnunet_eas.morphometry.measures import COLUMNS, NUMBERS, measure
from nnunet_eas.morphometry.surface import surface_of

HALF_A_VOXEL_MM = 0.18


def itk_shape(mask, spacing):
    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    image.SetSpacing(spacing[::-1])
    shape = sitk.LabelShapeStatisticsImageFilter()
    shape.Execute(image)
    return shape


@pytest.mark.parametrize("thickness", [1.0, 2.0, 3.0, 4.0])
@pytest.mark.parametrize("kind", ["sphere", "cylinder", "plate"])
def test_layers_askew_on_the_grid_of_oai(kind, thickness):
    drawn = layer(kind, thickness, seed=2)  # the worst of the first ones: across the layer are the long edges of voxels
    numbers = numbers_of(drawn.mask)
    assert numbers["volume_mm3"] == pytest.approx(drawn.volume_mm3, rel=0.005)
    assert numbers["volume_mm3"] == pytest.approx(itk_shape(drawn.mask, OAI).GetPhysicalSize(1))
    assert numbers["volume_mm3"] == pytest.approx(volume_mm3(mask=drawn.mask, spacing=OAI))
    assert numbers["surface_area_mm2"] == pytest.approx(drawn.area_mm2, rel=0.05)
    assert numbers["mean_thickness_mm"] == pytest.approx(thickness, abs=HALF_A_VOXEL_MM / 2)
    assert numbers["median_thickness_mm"] == pytest.approx(thickness, abs=HALF_A_VOXEL_MM)
    assert numbers["sd_thickness_mm"] < 0.35
    assert numbers["p5_thickness_mm"] < numbers["median_thickness_mm"] < numbers["p95_thickness_mm"]
    assert 0.6 < numbers["measured_share"] < 1


def test_a_worn_layer_of_less_than_a_voxel_is_measured_in_most_places():
    numbers = numbers_of(layer("sphere", 0.6, seed=2).mask)
    assert numbers["mean_thickness_mm"] == pytest.approx(0.6, abs=0.05)
    assert numbers["measured_share"] > 0.8


@pytest.mark.parametrize("kind", ["sphere", "cylinder", "plate"])
def test_area_and_volume_are_itk_s_where_voxels_are_cubes(kind):
    # by Crofton's formula, which is off by up to 18 % where they are not
    spacing = (0.5, 0.5, 0.5)
    mask = layer(kind, 3, seed=1, spacing=spacing).mask
    shape, numbers = itk_shape(mask, spacing), numbers_of(mask, spacing)
    assert numbers["surface_area_mm2"] == pytest.approx(shape.GetPerimeter(1), rel=0.02)
    assert numbers["volume_mm3"] == pytest.approx(shape.GetPhysicalSize(1))


def test_a_wedge_has_its_percentiles():
    z, _, x = np.indices((40, 60, 150)) * 0.2
    mask = z < 1 + x / 10  # 1 to 4 mm, evenly spread
    numbers = numbers_of(mask, (0.2,) * 3)
    assert numbers["mean_thickness_mm"] == pytest.approx(2.5, abs=0.1)
    assert numbers["sd_thickness_mm"] == pytest.approx(3 / math.sqrt(12), abs=0.1)
    assert numbers["p5_thickness_mm"] == pytest.approx(1.15, abs=0.15)
    assert numbers["p95_thickness_mm"] == pytest.approx(3.85, abs=0.15)


def test_a_solid_has_no_thickness():
    z, y, x = np.ogrid[-20:21, -20:21, -20:21]
    numbers = numbers_of(z**2 + y**2 + x**2 < 18**2, (1.0, 1.0, 1.0))
    assert math.isnan(numbers["mean_thickness_mm"])
    assert numbers["measured_share"] == 0
    assert numbers["surface_area_mm2"] == pytest.approx(4 * math.pi * 18**2, rel=0.02)


def test_a_solid_with_a_thin_part_has_none_either():
    mask = np.zeros((60, 50, 50), dtype=bool)
    mask[5:45, 5:45, 5:45] = True
    mask[45:58, 20:22, 5:45] = True  # a fin of 2 mm
    numbers = numbers_of(mask, (1.0, 1.0, 1.0))
    assert math.isnan(numbers["mean_thickness_mm"])
    assert numbers["measured_share"] == 0


def test_means_and_quantiles_weigh_points_by_their_area():
    surface = surface_of(layer("sphere", 3, seed=1).mask, OAI)
    areas = surface.areas_mm2
    numbers = measure(surface, areas.copy(), STRAIGHT, None)  # any numbers will do for the thickness
    assert numbers["mean_thickness_mm"] == pytest.approx((areas**2).sum() / areas.sum())
    assert numbers["sd_thickness_mm"] == pytest.approx(
        math.sqrt((areas**3).sum() / areas.sum() - numbers["mean_thickness_mm"] ** 2)
    )
    below = areas[areas <= numbers["p5_thickness_mm"]].sum()
    assert below == pytest.approx(0.05 * areas.sum(), rel=0.02)


def test_two_layers_are_not_taken_for_one():
    mask = np.zeros((20, 40, 40), dtype=bool)
    mask[:4] = mask[5:9] = True  # 2 mm each, half a millimetre apart
    assert numbers_of(mask, (0.5, 0.5, 0.5))["mean_thickness_mm"] == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 7), (1, 6, 7), (2, 2, 2)])
def test_a_few_voxels(shape):
    numbers = numbers_of(np.ones(shape, dtype=bool), (2.0, 0.5, 1.0))
    assert numbers["volume_mm3"] == np.prod(shape)
    assert numbers["surface_area_mm2"] > 0


@pytest.mark.parametrize("with_bone", [False, True])
def test_an_empty_mask(with_bone):
    bone = surface_of(np.ones((4, 4, 4), dtype=bool), (1, 1, 1)) if with_bone else None
    numbers = measure(None, np.empty(0), STRAIGHT, bone)
    zero = {"volume_mm3", "surface_area_mm2"} | ({"bone_area_mm2", "bare_area_mm2"} if with_bone else set())
    assert {name for name, value in numbers.items() if value == 0} == zero
    assert {name for name, value in numbers.items() if math.isnan(value)} == set(NUMBERS) - zero
    assert COLUMNS[:6] == ("case", "label", "volume_mm3", "mean_thickness_mm", "surface_area_mm2", "name")
