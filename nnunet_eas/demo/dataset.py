"""Writes phantom knees as an nnU-Net raw dataset."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from nnunet_eas.demo.settings import DemoSettings
from nnunet_eas.phantom import LABELS, knee


def case_identifiers(settings: DemoSettings) -> dict[str, list[str]]:
    """Names of the training, validation and test cases."""
    return {part: [f"knee_{seed:05d}" for seed in seeds] for part, seeds in settings.seeds().items()}


def write_dataset(folder: Path, settings: DemoSettings, on_knee: Callable[[int], None]) -> None:
    """Draws all knees into imagesTr, labelsTr, imagesTs and labelsTs, and describes them in ``dataset.json``.

    Args:
        folder: The dataset's folder; must not exist.
        settings: How many knees, on which grid.
        on_knee: Called with the number of knees written so far.
    """
    names, seeds = case_identifiers(settings), settings.seeds()
    written = 0
    for part in names:
        end = "Ts" if part == "test" else "Tr"
        (folder / f"images{end}").mkdir(parents=True, exist_ok=True)
        (folder / f"labels{end}").mkdir(exist_ok=True)
        for name, seed in zip(names[part], seeds[part], strict=True):
            drawn = knee(seed=seed, shape=settings.shape, spacing=settings.spacing)
            _write(folder / f"images{end}" / f"{name}_0000.nii.gz", drawn.image, drawn.spacing)
            _write(folder / f"labels{end}" / f"{name}.nii.gz", drawn.segmentation, drawn.spacing)
            written += 1
            on_knee(written)
    description = {
        "name": "PhantomKnee",
        "description": "Numerical knee phantoms with the labels of OAI-ZIB. No patient data.",
        "channel_names": {"0": "DESS"},
        "labels": LABELS,
        "numTraining": settings.training_knees + settings.validation_knees,
        "file_ending": ".nii.gz",
    }
    (folder / "dataset.json").write_text(json.dumps(description, indent=2) + "\n")


def _write(path: Path, array: np.ndarray, spacing: tuple[float, float, float]) -> None:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing[::-1])
    sitk.WriteImage(image, str(path), useCompression=True)
