import base64
import io

import numpy as np
import pytest
from evaluation.mask_files import SHAPE, write_mask
from PIL import Image

from nnunet_eas.evaluation.mask_file import read_mask
from nnunet_eas.reporting.scan import LONGEST_EDGE, as_grey, data_uri, read_scan, scans_in


def decoded(uri):
    head, content = uri.split(",")
    return head, Image.open(io.BytesIO(base64.b64decode(content)))


def test_a_small_slice_is_lossless():
    plane = np.arange(12, dtype=np.uint8).reshape(3, 4)
    head, picture = decoded(data_uri(plane[::-1]))
    assert head == "data:image/png;base64"
    assert np.array_equal(np.asarray(picture), plane[::-1])


def test_a_large_one_is_made_smaller():
    plane = np.random.default_rng(0).integers(0, 255, (300, 2 * LONGEST_EDGE)).astype(np.uint8)
    head, picture = decoded(data_uri(plane))
    assert head == "data:image/jpeg;base64"
    assert picture.size == (LONGEST_EDGE, 150)


def test_grey_levels():
    scan = np.array([-np.inf, np.nan, *range(-100, 101)])
    grey = as_grey(scan)
    assert grey[2] == 0
    assert grey[-1] == 255
    assert abs(int(grey[102]) - 127) < 3
    assert (as_grey(np.full(5, 7.0)) == 0).all()


def test_only_the_first_channel_counts(tmp_path):
    for name in ("a_0000", "a_0001", "b_0000", "c"):
        (tmp_path / f"{name}.nii.gz").touch()
    assert list(scans_in(tmp_path, ".nii.gz")) == ["a", "b"]


def test_a_scan_that_lies_elsewhere(tmp_path):
    grid = read_mask(write_mask(tmp_path / "mask.nii.gz", np.zeros(SHAPE, np.uint8))).grid
    path = write_mask(tmp_path / "a_0000.nii.gz", np.ones(SHAPE, np.float32), Origin=(9.0, 0.0, 0.0))
    with pytest.raises(ValueError, match=r"a_0000.nii.gz, the scan, must lie where the reference lies: .*origin"):
        read_scan([path], grid)
    (tmp_path / "cut_0000.nii.gz").write_bytes(path.read_bytes()[:40])
    with pytest.raises(ValueError, match=r"cut_0000.nii.gz must be a whole scan, got a damaged file. "):
        read_scan([tmp_path / "cut_0000.nii.gz"], grid)


def test_a_photograph(tmp_path):
    mask = np.zeros((4, 6), np.uint8)
    grid = read_mask(write_mask(tmp_path / "mask.png", mask)).grid
    colours = np.zeros((4, 6, 3), np.uint8)
    colours[1, 2] = (30, 60, 90)
    Image.fromarray(colours).save(tmp_path / "a_0000.png")
    scan = read_scan([tmp_path / "a_0000.png"], grid)
    assert scan.shape == (4, 6)
    assert scan[1, 2] == 60
