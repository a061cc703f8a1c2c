"""What a planner is given, checked before nnU-Net meets it."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nnunetv2
from nnunetv2.paths import nnUNet_preprocessed, nnUNet_raw
from nnunetv2.utilities.dataset_name_id_conversion import maybe_convert_to_dataset_name
from nnunetv2.utilities.find_class_by_name import recursive_find_python_class


def check_spacing(name: str, spacing: Sequence[float] | None) -> None:
    """Raises ValueError unless a spacing is three positive lengths, or None."""
    if spacing is None:
        return
    if len(spacing) != 3 or not all(math.isfinite(i) and i > 0 for i in spacing):
        raise ValueError(f"{name} must be three positive lengths in mm, got {list(spacing)}. Mend it.")


def check_files(dataset_name_or_id: str | int) -> None:
    """Raises FileNotFoundError or ValueError unless dataset.json and the fingerprint are there and whole."""
    name = maybe_convert_to_dataset_name(dataset_name_or_id)
    dataset_file = Path(str(nnUNet_raw)) / name / "dataset.json"
    fingerprint_file = Path(str(nnUNet_preprocessed)) / name / "dataset_fingerprint.json"
    extract = f"Run nnUNetv2_extract_fingerprint -d {int(name[7:10])}, or nnunet-eas plan_and_preprocess."
    dataset = read_json(dataset_file, "Convert the dataset first.")
    missing = {"labels", "numTraining", "file_ending"} - set(dataset)
    missing |= set() if {"channel_names", "modality"} & set(dataset) else {"channel_names"}
    if missing:
        raise ValueError(f"{dataset_file} must have {', '.join(sorted(missing))}, got {', '.join(dataset)}. Add them.")
    if not set(dataset["labels"]) - {"background", "ignore"}:
        raise ValueError(
            f"labels in {dataset_file} must name the background and at least one structure, got {dataset['labels']}. "
            "Add e.g. {'background': 0, 'femoral_cartilage': 1}."
        )
    fingerprint = read_json(fingerprint_file, extract)
    if not fingerprint.get("spacings") or not fingerprint.get("shapes_after_crop"):
        raise ValueError(f"{fingerprint_file} must hold spacings and shapes, got none. {extract}")


def check_preprocessor(name: str) -> None:
    """Raises ValueError unless nnU-Net has a preprocessor of this name."""
    if name == "DefaultPreprocessor":
        return
    folder = Path(nnunetv2.__path__[0]) / "preprocessing"
    if recursive_find_python_class(str(folder), name, "nnunetv2.preprocessing") is None:
        raise ValueError(
            f"preprocessor_name must be a class in nnunetv2.preprocessing, got {name}. Check its spelling."
        )


def read_json(path: Path, remedy: str) -> dict[str, Any]:
    """A file's content; a FileNotFoundError or ValueError that ends in the remedy where there is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} must exist for a plan, and does not. {remedy}") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} must hold JSON, got a damaged file ({error}). {remedy}") from None
