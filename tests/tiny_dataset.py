"""Raw data sets of a few tiny scans that a network learns in some dozen steps: bright and brighter blobs in noise."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from skimage import io

# All edges and spacings differ, so that no swap of axes passes; in array order (z, y, x), mm.
SHAPE = (14, 22, 30)
SPACING = (3.0, 1.2, 0.9)
LABELS = {"background": 0, "core": 1, "shell": 2}
N_CASES = 5


def case_identifiers(number: int = N_CASES) -> list[str]:
    return [f"blob_{index:03d}" for index in range(number)]


def scan(seed: int, shape: tuple[int, ...] = SHAPE) -> tuple[np.ndarray, np.ndarray]:
    """An image and its labels: a shell (label 2) around a core (label 1), each at its own intensity, at a seeded place.

    Any dimension. The core fills about a tenth of the image.
    """
    rng = np.random.default_rng(seed)
    axes = np.meshgrid(*[np.linspace(-1, 1, edge) for edge in shape], indexing="ij")
    centre = rng.uniform(-0.15, 0.15, size=len(shape))
    radius = np.sqrt(sum((axis - c) ** 2 for axis, c in zip(axes, centre, strict=True)))
    labels = np.zeros(shape, dtype=np.uint8)
    labels[radius < 0.8] = 2
    labels[radius < 0.5] = 1
    signal = np.array([0.0, 900.0, 400.0])[labels]
    return (signal + rng.normal(0, 40, size=shape)).astype(np.float32), labels


def write_scans(
    folder: Path, *, labels: dict, file_ending: str = ".nii.gz", ignored_slices: int = 0, **dataset_json
) -> Path:
    """Write a data set of volumes with an oblique geometry.

    Args:
        folder: `nnUNet_raw/DatasetXXX_Name`, new.
        labels: For dataset.json.
        file_ending: A format of SimpleITK's.
        ignored_slices: How many slices at the end of each case bear the value of the label "ignore".
        **dataset_json: Further entries of dataset.json.
    """
    for identifier in case_identifiers():
        image, segmentation = scan(seed=case_identifiers().index(identifier))
        if ignored_slices:
            segmentation[-ignored_slices:] = labels["ignore"]
        _write(image, folder / "imagesTr" / f"{identifier}_0000{file_ending}")
        _write(segmentation, folder / "labelsTr" / f"{identifier}{file_ending}")
    return _describe(folder, {"0": "MR"}, labels, file_ending, **dataset_json)


def write_photographs(folder: Path, *, shape: tuple[int, int]) -> Path:
    """Write a data set of RGB images as PNG."""
    for seed, identifier in enumerate(case_identifiers()):
        image, segmentation = scan(seed, shape)
        grey = np.clip(image / 4 + 20, 0, 255)
        rgb = np.stack([grey, 255 - grey, grey // 2], axis=-1).astype(np.uint8)
        for path, pixels in (
            (folder / "imagesTr" / f"{identifier}_0000.png", rgb),
            (folder / "labelsTr" / f"{identifier}.png", segmentation),
        ):
            path.parent.mkdir(parents=True, exist_ok=True)
            io.imsave(path, pixels, check_contrast=False)
    return _describe(folder, {"0": "R", "1": "G", "2": "B"}, LABELS, ".png")


def read_labels(path: Path) -> np.ndarray:
    if path.suffix == ".png":
        return io.imread(path)
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def agreement(first: Path, second: Path) -> float:
    """The share of equal voxels of two label maps."""
    a, b = read_labels(first), read_labels(second)
    assert a.shape == b.shape
    return float(np.mean(a == b))


def _write(array: np.ndarray, path: Path) -> None:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(SPACING[::-1])
    image.SetOrigin((-12.5, 40.25, 7.0))
    angle = np.deg2rad(10)
    image.SetDirection((np.cos(angle), -np.sin(angle), 0, np.sin(angle), np.cos(angle), 0, 0, 0, 1))
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path))


def _describe(folder: Path, channels: dict[str, str], labels: dict, file_ending: str, **more) -> Path:
    content = {"channel_names": channels, "labels": labels, "numTraining": N_CASES, "file_ending": file_ending, **more}
    (folder / "dataset.json").write_text(json.dumps(content), encoding="utf-8")
    return folder
