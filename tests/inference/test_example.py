"""The example predicts as nnU-Net does, where neither nnU-Net nor PyTorch can be imported."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from inference.tiny_models import SPACING, write_model
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from tiny_dataset import SHAPE, scan

from nnunet_eas.inference.export import export
from nnunet_eas.inference.trained_model import load_trained_model
from nnunet_eas.trainer import EASUNetTrainer

pytestmark = pytest.mark.slow

EXAMPLE = Path(__file__).parents[2] / "examples" / "predict_without_nnunet.py"
RUN = """
import runpy, sys

class Blocked:
    def find_spec(name, path=None, target=None):
        if name.split(".")[0] in ("torch", "nnunetv2", "nnunet_eas", "onnx", "batchgenerators", "acvl_utils"):
            raise ImportError(f"{name} is not there")

sys.meta_path.insert(0, Blocked)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
REGIONS = {"background": 0, "whole": [1, 2], "core": 1}


def write_scans(folder, channels, spacing, shape):
    """Scans with nothing around them on some sides, which is cut off and comes back as background."""
    paths = []
    for channel in range(channels):
        array, _ = scan(seed=channel, shape=shape)
        array[:2] = array[..., -3:] = 0
        image = sitk.GetImageFromArray(array)
        image.SetSpacing(spacing[::-1])
        image.SetOrigin((-12.5, 40.25, 7.0))
        image.SetDirection((0, 1, 0, -1, 0, 0, 0, 0, 1))
        paths.append(folder / f"scan_{channel:04}.nii.gz")
        sitk.WriteImage(image, paths[-1])
    return paths


def predicted_by_nnunet(folder, scans, **options):
    predictor = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False, **options)
    predictor.initialize_from_trained_model_folder(str(folder), None)
    arrays = np.stack([sitk.GetArrayFromImage(sitk.ReadImage(scan)) for scan in scans])
    spacing = sitk.ReadImage(scans[0]).GetSpacing()[::-1]
    return predictor.predict_single_npy_array(arrays, {"spacing": spacing})


def predicted_by_example(folder, scans, target):
    """The mask, after a look at its geometry."""
    (file,) = export(load_trained_model(folder), "onnx", target.parent)
    command = [sys.executable, "-c", RUN, EXAMPLE, file.path, *scans, target]
    completed = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    assert completed.returncode == 0, completed.stderr
    mask, image = sitk.ReadImage(target), sitk.ReadImage(scans[0])
    for which in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
        np.testing.assert_allclose(getattr(mask, which)(), getattr(image, which)(), atol=1e-5)
    return sitk.GetArrayFromImage(mask)


def assert_equal_share(mask, expected, least, labels=(0, 1, 2)):
    assert np.mean(mask == expected) >= least
    assert np.unique(expected).tolist() == list(labels)
    assert np.bincount(expected.ravel()).min() > 0.01 * expected.size, "each label counts"


@pytest.mark.parametrize(
    ("configuration", "more"),
    [
        ("2d", {"trainer": nnUNetTrainer, "folds": (0, 1)}),
        ("3d_fullres", {"trainer": EASUNetTrainer, "mirroring_axes": (0, 2)}),
        ("3d_fullres", {"trainer": nnUNetTrainer, "mirroring_axes": (0, 1, 2)}),
        ("2d", {"normalization": ("CTNormalization", "ZScoreNormalization"), "mirroring_axes": (1,)}),
        ("2d", {"labels": REGIONS, "regions_class_order": [2, 1]}),
    ],
    ids=["2d, two folds", "3d", "3d, stock", "two channels", "regions"],
)
def test_same_mask_as_nnunet(tmp_path, configuration, more):
    folder = write_model(tmp_path, configuration, **more)
    scans = write_scans(tmp_path, len(more.get("normalization", (1,))), SPACING, SHAPE)
    expected = predicted_by_nnunet(folder, scans)
    assert_equal_share(predicted_by_example(folder, scans, tmp_path / "mask.nii.gz"), expected, 0.999)
    without_mirroring = predicted_by_nnunet(folder, scans, use_mirroring=False)
    assert np.mean(without_mirroring == expected) < 0.999, "mirroring counts"


def test_another_spacing_and_a_scan_smaller_than_a_patch(tmp_path):
    """Voxels are at most three times as long as wide: beyond, nnU-Net resamples in a way that the example lacks."""
    folder = write_model(tmp_path, "3d_fullres", trainer=nnUNetTrainer, mirroring_axes=None)
    scans = write_scans(tmp_path, 1, (2.5, 1.3, 1.0), (11, 17, 14))
    expected = predicted_by_nnunet(folder, scans)
    assert_equal_share(predicted_by_example(folder, scans, tmp_path / "mask.nii.gz"), expected, 0.97)
