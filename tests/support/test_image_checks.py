"""Image files that are not what they say."""

import contextlib
import gzip
import math
import struct

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st

from nnunet_eas.support.image_checks import check_image

ENDINGS = (".nii", ".nii.gz", ".mha", ".mhd", ".nrrd")


@pytest.fixture
def write(tmp_path):
    def write(ending, change=lambda content: content, spacing=(0.5, 0.625, 0.75)):
        image = sitk.GetImageFromArray(np.random.default_rng(1).integers(0, 9, (5, 6, 7)).astype(np.uint8))
        image.SetSpacing(spacing)
        file = tmp_path / f"scan{ending}"
        sitk.WriteImage(image, str(file))
        file.write_bytes(change(file.read_bytes()))
        return file

    return write


def pixdim(value):
    """Changes a NIfTI's second edge."""
    return lambda content: content[:84] + struct.pack("<f", value) + content[88:]


def text(before, after):
    def change(content):
        assert before in content
        return content.replace(before, after)

    return change


@pytest.mark.parametrize("ending", ENDINGS)
def test_whole_files_pass(write, ending):
    check_image(write(ending))
    check_image(write(ending, spacing=(1e-3, 10, 100)))


def test_a_picture_passes(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    check_image(tmp_path / "a.png")


@pytest.mark.parametrize("value", [0.0, -0.5, 1e-6, 1e4, math.nan, math.inf])
@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_spacing_of_nifti(write, ending, value):
    def change(content):
        return gzip.compress(pixdim(value)(gzip.decompress(content))) if ending == ".nii.gz" else pixdim(value)(content)

    with pytest.raises(OSError, match=r"its spacing must lie between 0\.0001 and 1000 mm, got "):
        check_image(write(ending, change))


@pytest.mark.parametrize("value", [b"0", b"-1", b"nan", b"inf", b"1e-9", b"wide"])
@pytest.mark.parametrize("ending", [".mha", ".mhd"])
def test_spacing_of_meta_image(write, ending, value):
    with pytest.raises(OSError, match=r"must lie between|header is damaged"):
        check_image(write(ending, text(b"ElementSpacing = 0.5 ", b"ElementSpacing = " + value + b" ")))


@pytest.mark.parametrize("value", [b"0", b"nan", b"1e-9"])
def test_spacing_of_nrrd(write, value):
    with pytest.raises(OSError, match=r"must lie between|header is damaged"):
        check_image(write(".nrrd", text(b"(0.5,0,0)", b"(" + value + b",0,0)")))


def test_a_turned_axis_of_nrrd_passes(write):
    check_image(write(".nrrd", text(b"(0.5,0,0)", b"(-0.5,0,0)")))


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_more_voxels_than_a_scan_of_the_size_has(write, ending):
    def change(content):
        content = content if ending == ".nii" else gzip.decompress(content)
        content = content[:40] + struct.pack("<4h", 3, 1000, 1000, 1000) + content[48:]
        return content if ending == ".nii" else gzip.compress(content)

    with pytest.raises(OSError, match="it unpacks to 1000000000 voxels"):
        check_image(write(ending, change), is_scan=True)


def test_more_voxels_than_a_mask_has(write):
    def change(content):
        return content[:40] + struct.pack("<4h", 3, 3000, 3000, 3000) + content[48:]

    with pytest.raises(OSError, match="it unpacks to 27000000000 voxels"):
        check_image(write(".nii", change))


@pytest.mark.parametrize(("unit", "edge"), [(1, 5e-4), (3, 500.0)])
def test_other_units_of_nifti(write, unit, edge):
    def change(content):
        content = content[:80] + struct.pack("<3f", edge, edge, edge) + content[92:]
        return content[:123] + bytes([unit]) + content[124:]

    check_image(write(".nii", change))


def test_a_single_slice_without_a_thickness(tmp_path):
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((1, 5, 6), np.uint8)), str(tmp_path / "a.nii"))
    content = (tmp_path / "a.nii").read_bytes()
    (tmp_path / "a.nii").write_bytes(content[:88] + struct.pack("<f", 0) + content[92:])
    check_image(tmp_path / "a.nii")


def test_four_axes(tmp_path):
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((3, 4, 5, 6), np.uint8), isVector=False), str(tmp_path / "a.nii"))
    with pytest.raises(OSError, match="it must have 2 or 3 axes, got 4"):
        check_image(tmp_path / "a.nii", is_scan=True)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("content", [b"", b"hello", bytes(range(256)) * 3])
def test_files_of_something_else(tmp_path, ending, content):
    (tmp_path / f"a{ending}").write_bytes(content)
    with pytest.raises(OSError, match=r"it is empty|header is damaged|compressed content"):
        check_image(tmp_path / f"a{ending}")


@given(place=st.integers(0, 5000), value=st.integers(0, 255), ending=st.sampled_from(ENDINGS))
def test_a_changed_byte_ends_well_or_in_a_message(tmp_path_factory, place, value, ending):
    folder = tmp_path_factory.mktemp("byte")
    image = sitk.GetImageFromArray(np.random.default_rng(1).integers(0, 9, (5, 6, 7)).astype(np.uint8))
    file = folder / f"scan{ending}"
    sitk.WriteImage(image, str(file))
    content = bytearray(file.read_bytes())
    content[place % len(content)] = value
    file.write_bytes(content)
    with contextlib.suppress(OSError):
        check_image(file)
