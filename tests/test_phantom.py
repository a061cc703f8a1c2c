"""Synthetic knees: their parts, sizes in mm and contrast, and that the seed decides everything."""

import numpy as np
import pytest
from scipy.ndimage import binary_dilation, center_of_mass, distance_transform_edt

from nnunet_eas.phantom import LABELS, knee
from nnunet_eas.phantom.anatomy import Anatomy, Tissue
from nnunet_eas.phantom.scanner import scan

SMALL = {"shape": (44, 52, 14), "spacing": (2.1, 2.05, 6.3)}
FINE = {"shape": (180, 196, 40), "spacing": (0.5, 0.55, 2.2)}
CARTILAGES = (("femur", "femoral_cartilage"), ("tibia", "tibial_cartilage"))


@pytest.fixture(scope="module", params=[0, 7])
def fine(request):
    return knee(seed=request.param, **FINE)


def test_the_seed_decides_everything():
    first, again, other = knee(seed=3, **SMALL), knee(seed=3, **SMALL), knee(seed=4, **SMALL)
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.segmentation, again.segmentation)
    assert np.mean(first.segmentation != other.segmentation) > 0.02


def test_shapes_types_and_spacing():
    drawn = knee(seed=0, **SMALL)
    assert drawn.image.shape == drawn.segmentation.shape == SMALL["shape"]
    assert (drawn.image.dtype, drawn.segmentation.dtype) == (np.int16, np.uint8)
    assert drawn.spacing == SMALL["spacing"]
    assert drawn.image.min() >= 0


@pytest.mark.parametrize("seed", range(12))
def test_every_structure_exists(seed):
    assert set(np.unique(knee(seed=seed, **SMALL).segmentation)) == set(LABELS.values())


@pytest.mark.slow
def test_both_sides_occur_and_differ_in_size():
    knees = [knee(seed=seed, **SMALL) for seed in range(12)]
    femora = [np.count_nonzero(k.segmentation == LABELS["femur"]) for k in knees]
    assert {k.side for k in knees} == {"left", "right"}
    assert max(femora) > 1.15 * min(femora)


def test_a_left_knee_is_a_mirrored_right_knee():
    left, right = knee(seed=5, side="left", **SMALL), knee(seed=5, side="right", **SMALL)
    assert np.array_equal(left.segmentation[:, :, ::-1], right.segmentation)
    assert not np.array_equal(left.segmentation, right.segmentation)


def test_the_patella_is_in_front_and_the_femur_on_top(fine):
    centres = {
        name: np.array(center_of_mass(fine.segmentation == LABELS[name])) * fine.spacing for name in ("femur", "tibia")
    }
    assert centres["femur"][0] > centres["tibia"][0] + 30  # z grows towards the head
    # air lies only in front of the knee, where y begins
    front, back = fine.image[:, :4].mean(), fine.image[:, -4:].mean()
    assert front < 0.6 * back


def test_the_knee_is_the_same_in_mm_on_another_grid():
    grids = (((90, 98, 30), (1.0, 1.1, 3.0)), ((72, 88, 46), (1.25, 1.225, 1.957)))
    knees = [knee(seed=2, shape=shape, spacing=spacing) for shape, spacing in grids]
    for label in range(1, 5):
        masks = [k.segmentation == label for k in knees]
        volumes = [mask.sum() * np.prod(k.spacing) for mask, k in zip(masks, knees)]
        middles = [
            (np.array(center_of_mass(mask)) + 0.5 - np.array(mask.shape) / 2) * k.spacing
            for mask, k in zip(masks, knees)
        ]
        # the volume of a layer of one to three voxels depends on where the voxels lie; that of a bone does not
        assert volumes[0] == pytest.approx(volumes[1], rel=0.1 if label in (2, 4) else 0.03)
        assert middles[0] == pytest.approx(middles[1], abs=1.0)


@pytest.mark.parametrize(("bone", "cartilage"), CARTILAGES)
def test_cartilage_lies_on_its_bone(fine, bone, cartilage):
    bone_mask, layer = (fine.segmentation == LABELS[name] for name in (bone, cartilage))
    from_bone_mm = distance_transform_edt(~bone_mask, sampling=fine.spacing)[layer]
    assert np.count_nonzero(binary_dilation(bone_mask) & layer) > 0.15 * layer.sum()
    assert np.percentile(from_bone_mm, 99) < 4.5


@pytest.mark.parametrize(("bone", "cartilage"), CARTILAGES)
def test_thickness_in_mm(fine, bone, cartilage):
    bone_mask, layer = (fine.segmentation == LABELS[name] for name in (bone, cartilage))
    outside = ~bone_mask & ~layer
    top = layer & binary_dilation(outside)
    # the thickness reaches from the last voxel centre of the bone to the last one of the layer
    thickness_mm = distance_transform_edt(~bone_mask, sampling=fine.spacing)[top]
    assert 1.5 < np.median(thickness_mm) < 3.2
    assert np.percentile(thickness_mm, 90) < 4.2
    assert np.percentile(thickness_mm, 90) - np.percentile(thickness_mm, 10) > 0.5  # uneven


def test_lesions_thin_both_cartilages():
    anatomy = Anatomy(np.random.default_rng(1))
    axes = (np.arange(-40, 41, 1.0), np.arange(-40, 46, 0.8), np.arange(-12, 50, 0.6))
    points = tuple(axis.astype(np.float32) for axis in np.meshgrid(*axes, indexing="ij"))
    worn = anatomy.tissue(points)
    anatomy.femoral_lesions, anatomy.tibial_lesions = [], []
    whole = anatomy.tissue(points)
    for cartilage in (Tissue.FEMORAL_CARTILAGE, Tissue.TIBIAL_CARTILAGE):
        lost = np.mean(worn[whole == cartilage] != cartilage)
        assert 0.002 < lost < 0.3


@pytest.mark.slow
def test_contrast_matches_the_template():
    knees = [knee(seed=seed) for seed in range(6)]
    means = np.array(
        [[k.image[k.segmentation == label].mean() / 1000 for label in LABELS.values()] for k in knees]
    )  # knees, labels
    background, femur, femoral, tibia, tibial = means.mean(axis=0)
    assert femoral == pytest.approx(0.63, rel=0.1)
    assert tibial == pytest.approx(0.55, rel=0.1)
    assert femur == pytest.approx(0.19, abs=0.03)
    assert tibia == pytest.approx(0.19, abs=0.03)
    assert femoral > tibial > background > max(femur, tibia)
    assert np.all(means[:, [2, 4]].min(axis=1) > 2 * means[:, [1, 3]].max(axis=1))
    assert means.std(axis=0).min() > 0.001  # no two examinations are alike


def test_noise_is_rician():
    image = scan(np.zeros((20, 30, 40), dtype=np.float32), (1.0, 2.0, 3.0), np.random.default_rng(0)).astype(float)
    # without a signal, Rayleigh's distribution: mean sqrt(pi / 2) sigmas, standard deviation sqrt(2 - pi / 2) sigmas
    assert image.mean() / image.std() == pytest.approx(np.sqrt(np.pi / (4 - np.pi)), rel=0.03)


def test_the_bias_field_is_smooth_and_visible():
    rng = np.random.default_rng(0)
    image = scan(np.ones((24, 36, 48), dtype=np.float32), (1.0, 2.0, 3.0), rng).astype(float)
    blocks = image.reshape(2, 12, 3, 12, 4, 12).mean(axis=(1, 3, 5))
    assert 1.05 < blocks.max() / blocks.min() < 2.5
    assert np.abs(np.diff(blocks, axis=2)).max() < 0.3 * blocks.mean()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shape": (10, 20)}, r"shape must hold three edges .* got \(10, 20\)"),
        ({"shape": (10, 0, 20)}, r"shape must hold three edges"),
        ({"spacing": (1.0, -1.0, 2.0)}, r"spacing must hold three positive numbers"),
        ({"spacing": (1.0, float("inf"), 2.0)}, r"spacing must hold three positive numbers"),
        ({"side": "both"}, r"side must be 'left', 'right' or None, got 'both'"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        knee(seed=0, **arguments)
