"""Every format, whole and damaged, right and wrong."""

import gzip
import itertools
import json

import numpy as np
import pytest
import SimpleITK as sitk
from evaluation.mask_files import SHAPE, SPACING, write_mask
from PIL import Image

from nnunet_eas.evaluation.mask_file import ENDINGS, read_mask

VOLUMES = (".nii.gz", ".nii", ".mha", ".mhd", ".nrrd")
ARRAY = np.random.default_rng(0).integers(0, 5, SHAPE).astype(np.uint8)


@pytest.mark.parametrize("ending", VOLUMES)
@pytest.mark.parametrize("compress", [False, True])
def test_volumes(tmp_path, ending, compress):
    mask = read_mask(write_mask(tmp_path / f"a{ending}", ARRAY, compress=compress, Origin=(1, -2, 3.5)))
    assert np.array_equal(mask.labels, ARRAY)
    assert mask.labels.dtype == np.uint8
    assert mask.spacing == pytest.approx(SPACING)
    assert mask.grid.size == SHAPE[::-1]
    assert mask.grid.origin == pytest.approx((1, -2, 3.5))


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize(
    ("ending", "left"),
    [
        *itertools.product([*VOLUMES, ".bmp"], [0, 0.5, 0.95]),
        *itertools.product([".png", ".tif"], [0, 0.5]),  # what comes last is not pixels
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_what_is_cut_off_is_not_read(tmp_path, ending, compress, left):
    array = ARRAY[0] if ending in (".png", ".bmp", ".tif") else ARRAY
    path = write_mask(tmp_path / f"a{ending}", array, compress=compress)
    voxels = next(tmp_path.glob("a.*raw")) if ending == ".mhd" else path
    raw = voxels.read_bytes()
    voxels.write_bytes(raw[: int(left * len(raw))])
    with pytest.raises(ValueError, match=f"a{ending} must be a whole file, got a damaged one: .*Write it anew"):
        read_mask(path)


def test_a_wrong_byte_in_compressed_nifti_is_noticed(tmp_path):
    path = write_mask(tmp_path / "a.nii.gz", ARRAY)
    raw = bytearray(gzip.decompress(path.read_bytes()))
    packed = bytearray(gzip.compress(raw, compresslevel=0))  # stored as it is: only the checksum can tell
    packed[-50] ^= 1
    path.write_bytes(packed)
    with pytest.raises(ValueError, match="compressed content is damaged"):
        read_mask(path)


def test_bytes_behind_the_voxels_do_no_harm(tmp_path):
    path = write_mask(tmp_path / "a.nii", ARRAY)
    path.write_bytes(path.read_bytes() + b"more")
    assert np.array_equal(read_mask(path).labels, ARRAY)


@pytest.mark.parametrize("name", ["a.nii.gz", "a.mha", "a.png"])
def test_text_and_nothing(tmp_path, name):
    with pytest.raises(ValueError, match="must be a whole file"):
        read_mask(tmp_path / name)
    (tmp_path / name).write_text("no image at all")
    with pytest.raises(ValueError, match="must be a whole file"):
        read_mask(tmp_path / name)


@pytest.mark.parametrize("ending", [".png", ".bmp"])
def test_a_pixel_of_a_picture_counts_as_a_millimetre(tmp_path, ending):
    Image.fromarray(ARRAY[0]).save(tmp_path / f"a{ending}", dpi=(300, 300))
    mask = read_mask(tmp_path / f"a{ending}")
    assert np.array_equal(mask.labels, ARRAY[0])
    assert mask.spacing == (1, 1)
    assert mask.grid.size == ARRAY[0].shape[::-1]


def test_a_3d_tiff_has_its_spacing_beside_it(tmp_path):
    pages = [Image.fromarray(page) for page in ARRAY]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    assert read_mask(tmp_path / "a.tif").spacing == (1, 1, 1)
    (tmp_path / "a.json").write_text(json.dumps({"spacing": SPACING}))
    mask = read_mask(tmp_path / "a.tif")
    assert np.array_equal(mask.labels, ARRAY)
    assert mask.spacing == SPACING
    assert mask.grid.size == SHAPE[::-1]


@pytest.mark.parametrize("dtype", [np.int16, np.uint16, np.int64, np.float32, np.float64])
def test_whole_numbers_of_any_type(tmp_path, dtype):
    array = ARRAY.astype(dtype)
    array[0, 0, 0] = 300
    mask = read_mask(write_mask(tmp_path / "a.nii.gz", array))
    assert np.array_equal(mask.labels, array)
    assert mask.labels.dtype == np.uint16
    assert read_mask(write_mask(tmp_path / "b.nii.gz", ARRAY.astype(dtype))).labels.dtype == np.uint8


@pytest.mark.parametrize("value", [0.5, -1, 65536, np.nan, np.inf])
def test_other_values_are_no_labels(tmp_path, value):
    array = ARRAY.astype(np.float64)
    array[1, 2, 3] = value
    with pytest.raises(ValueError, match=rf"a.mha must hold whole numbers from 0 to 65535, got {value}"):
        read_mask(write_mask(tmp_path / "a.mha", array))  # NIfTI's library makes zeros of what is not finite


def test_colours_and_time_series_are_no_masks(tmp_path):
    Image.fromarray(np.zeros((4, 5, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    four = sitk.GetImageFromArray(np.zeros((2, 3, 4, 5), dtype=np.uint8), isVector=False)
    sitk.WriteImage(four, str(tmp_path / "b.nii.gz"))
    vector = sitk.GetImageFromArray(np.zeros((3, 4, 5, 2), dtype=np.uint8), isVector=True)
    sitk.WriteImage(vector, str(tmp_path / "c.mha"))
    for name in ("a.png", "b.nii.gz", "c.mha"):
        with pytest.raises(ValueError, match=f"{name} must hold one channel in 2-D or 3-D"):
            read_mask(tmp_path / name)


def test_what_nnunet_reads_can_be_read():
    from nnunetv2.imageio.reader_writer_registry import LIST_OF_IO_CLASSES

    theirs = {ending for reader in LIST_OF_IO_CLASSES for ending in reader.supported_file_endings}
    assert theirs - set(ENDINGS) == {".gipl"}  # which nobody uses
