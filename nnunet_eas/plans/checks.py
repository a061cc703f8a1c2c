"""Checks of a planner's input, before nnU-Net reads it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import nnunetv2
from nnunetv2.paths import nnUNet_preprocessed, nnUNet_raw
from nnunetv2.utilities.find_class_by_name import recursive_find_python_class

from nnunet_eas.plans.translation import check_structures
from nnunet_eas.support.files import read_json


def check_spacing(name: str, spacing: Sequence[float] | None) -> None:
    """Raises ValueError unless a spacing is three positive lengths, or None."""
    if spacing is not None and (len(spacing) != 3 or not all(math.isfinite(i) and i > 0 for i in spacing)):
        raise ValueError(f"{name} must be three positive lengths in mm, got {list(spacing)}. Correct it.")


def check_files(dataset_name: str) -> None:
    """Raises FileNotFoundError or ValueError unless dataset.json and the fingerprint are complete."""
    dataset_file = Path(str(nnUNet_raw)) / dataset_name / "dataset.json"
    dataset = read_json(dataset_file, "dataset.json", "Convert the dataset first.")
    channels = "modality" if "modality" in dataset else "channel_names"  # the first is the older name
    missing = {"labels", "numTraining", "file_ending", channels} - set(dataset)
    if missing:
        raise ValueError(f"{dataset_file} must have {', '.join(sorted(missing))}, got {', '.join(dataset)}. Add them.")
    check_structures(dataset, dataset_file)
    fingerprint_file = Path(str(nnUNet_preprocessed)) / dataset_name / "dataset_fingerprint.json"
    extract = f"Run nnUNetv2_extract_fingerprint -d {int(dataset_name[7:10])}, or nnunet-eas plan_and_preprocess."
    fingerprint = read_json(fingerprint_file, "The fingerprint", extract)
    if not fingerprint.get("spacings") or not fingerprint.get("shapes_after_crop"):
        raise ValueError(f"{fingerprint_file} must hold spacings and shapes, got none. {extract}")


def check_preprocessor(name: str) -> None:
    """Raises ValueError unless nnU-Net has a preprocessor of this name."""
    if name == "DefaultPreprocessor":
        return  # the search imports all modules of the folder
    folder = Path(nnunetv2.__path__[0]) / "preprocessing"
    if recursive_find_python_class(str(folder), name, "nnunetv2.preprocessing") is None:
        raise ValueError(f"preprocessor_name must be a class in nnunetv2.preprocessing, got {name}. Correct the name.")
