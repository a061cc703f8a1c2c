"""The picture shows a layer as one would see it, neither mirrored nor upside down."""

import numpy as np
import pytest
from morphometry.shells import STRAIGHT
from PIL import Image

from nnunet_eas.morphometry.surface import surface_of
from nnunet_eas.morphometry.thickness import thickness_mm
from nnunet_eas.morphometry.thickness_map import draw_thickness

CUBES = (0.5, 0.5, 0.5)


def picture(path, mask, bone=None):
    """Red, green and blue, 0..1, (rows, columns, 3), and how many pixels wide it is."""
    surface = surface_of(mask, CUBES)
    bone = surface_of(bone, CUBES) if bone is not None else None
    draw_thickness(path, surface, thickness_mm(surface), STRAIGHT, bone, "a: layer")
    with Image.open(path) as image:
        array = np.asarray(image.convert("RGB")) / 255
    return array[:, : int(0.8 * array.shape[1])]  # without the colour bar


@pytest.fixture
def wedge():
    """1 to 4 mm thick: thicker to the patient's left and to the back."""
    z, y, x = np.indices((24, 60, 80)) * 0.5
    return (z > 2) & (z < 3 + 1.5 * x / 40 + 1.5 * y / 30)


def test_a_wedge_seen_from_above_and_from_below(wedge, tmp_path):
    below, above = np.zeros_like(wedge), np.zeros_like(wedge)
    below[:4], above[20:] = True, True
    for bone, left_is in ((None, "left"), (below, "left"), (above, "right")):
        array = picture(tmp_path / "a.png", wedge, bone)
        is_thick = (array[..., 1] > 0.7) & (array[..., 2] < 0.5)  # viridis' green
        is_thin = (array[..., 2] > 0.5) & (array[..., 1] < 0.4)  # and blue
        assert is_thick.sum() > 500
        assert is_thin.sum() > 500
        (thick_row, thick_column), (thin_row, thin_column) = (
            np.argwhere(part).mean(axis=0) for part in (is_thick, is_thin)
        )
        assert thick_row > thin_row  # the back is below
        # who looks at a patient from the head, face up, has the patient's left on the left
        assert (thick_column < thin_column) == (left_is == "left")


def test_the_nearer_of_two_layers_is_seen_and_rims_are_grey(tmp_path):
    mask = np.zeros((40, 60, 60), dtype=bool)
    mask[2:11, 10:50, 10:50] = True  # 4.5 mm, green
    mask[30:33] = True  # 1.5 mm, blue, above it
    array = picture(tmp_path / "a.png", mask)
    red, green, blue = (np.round(array[..., channel], 2) for channel in range(3))
    assert not ((green > 0.7) & (blue < 0.5)).any()
    assert ((blue > 0.5) & (green < 0.5)).sum() > 5000
    assert ((red == 0.8) & (green == 0.8) & (blue == 0.8)).sum() > 500


def test_a_bent_layer_is_seen_from_several_sides(wedge, tmp_path):
    z, y, x = np.indices((50, 50, 50)) * 0.5 - 12.25
    r = np.sqrt(z**2 + y**2 + x**2)
    bowl = picture(tmp_path / "bowl.png", (r > 9) & (r < 11) & (z < 0))
    assert bowl.shape[1] > 2 * picture(tmp_path / "wedge.png", wedge).shape[1]
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["bowl.png", "wedge.png"]
