"""Datasets that consist of their fingerprint alone: enough for a planner, without images to load."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from nnunet_eas.support.files import write_json

GEOMETRIES: dict[str, dict[str, Any]] = {
    # published figures of datasets that people train on: shape (voxels) and spacing (mm) in array order
    "Dataset510_Knee": {"shape": (160, 384, 384), "spacing": (0.7, 0.36, 0.36), "cases": 507},  # OAI-ZIB
    "Dataset511_Brain": {"shape": (140, 170, 140), "spacing": (1, 1, 1), "cases": 484, "channels": 4, "classes": 4},
    "Dataset512_Heart": {"shape": (10, 232, 256), "spacing": (10, 1.5, 1.5), "cases": 200, "classes": 4},
    "Dataset513_Abdomen": {"shape": (500, 512, 512), "spacing": (1, 0.78, 0.78), "cases": 130, "classes": 16},
    "Dataset514_Photographs": {"shape": (1, 700, 900), "spacing": (999, 1, 1), "cases": 1000, "channels": 3},
}


def write_geometry(raw: Path, preprocessed: Path, name: str) -> None:
    """Writes one of `GEOMETRIES` as `write_fingerprint` does."""
    geometry = {"channels": 1, "classes": 3, **GEOMETRIES[name]}
    labels = {"background": 0, **{f"structure_{i}": i for i in range(1, geometry["classes"])}}
    write_fingerprint(
        raw,
        preprocessed,
        name,
        shapes=[geometry["shape"]],
        spacings=[geometry["spacing"]],
        channels=geometry["channels"],
        labels=labels,
        cases=geometry["cases"],
    )


def write_fingerprint(
    raw: Path,
    preprocessed: Path,
    name: str,
    *,
    shapes: Sequence[Sequence[int]],
    spacings: Sequence[Sequence[float]],
    channels: int = 1,
    labels: dict | None = None,
    cases: int | None = None,
    relative_size_after_cropping: float = 1.0,
) -> None:
    """Writes dataset.json, the fingerprint and one tiny image per case into nnU-Net's two folders.

    Args:
        raw: nnUNet_raw.
        preprocessed: nnUNet_preprocessed.
        name: DatasetXXX_NAME.
        shapes: Voxels of each case after cropping, in array order; 2-D images have 1 as the first edge.
        spacings: In mm, of each case, in array order; 2-D images have 999 as the first.
        channels: Channels of every image.
        labels: As in dataset.json; None for background and two cartilages.
        cases: The number of cases that dataset.json names; None for the number of `shapes`.
        relative_size_after_cropping: Below 3/4 nnU-Net normalises within the nonzero mask.
    """
    images, masks = raw / name / "imagesTr", raw / name / "labelsTr"
    for folder in (images, masks, preprocessed / name):
        folder.mkdir(parents=True, exist_ok=True)
    dataset = {
        "channel_names": {str(c): "MR" for c in range(channels)},
        "labels": labels or {"background": 0, "femoral_cartilage": 1, "tibial_cartilage": 2},
        "numTraining": cases or len(shapes),
        "file_ending": ".nii.gz",
    }
    write_json(raw / name / "dataset.json", dataset)
    image = sitk.GetImageFromArray(np.zeros((2, 2, 2), np.uint8))
    files = [masks / f"case_{case:03d}.nii.gz" for case in range(len(shapes))]
    files += [
        images / f"case_{case:03d}_{channel:04d}.nii.gz" for case in range(len(shapes)) for channel in range(channels)
    ]
    for file in files:
        if not file.exists():
            sitk.WriteImage(image, str(file))
    intensities = dict.fromkeys(("max", "mean", "median", "min", "percentile_00_5", "percentile_99_5", "std"), 1.0)
    fingerprint = {
        "spacings": [[float(i) for i in spacing] for spacing in spacings],
        "shapes_after_crop": [[int(i) for i in shape] for shape in shapes],
        "foreground_intensity_properties_per_channel": {str(c): intensities for c in range(channels)},
        "median_relative_size_after_cropping": relative_size_after_cropping,
    }
    write_json(preprocessed / name / "dataset_fingerprint.json", fingerprint)
