"""Reuse of nnU-Net's preprocessed data where they are exactly those that a plan asks for."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from nnunetv2.preprocessing.resampling.default_resampling import compute_new_shape
from nnunetv2.training.dataloading.nnunet_dataset import infer_dataset_class

from nnunet_eas.support.pickle_names import HARMLESS, names_in

DEFAULT_PLANS = "nnUNetPlans"

# entries that decide the content of preprocessed data: of the plans, and of each configuration
KEYS_OF_PLANS = ("transpose_forward", "image_reader_writer", "foreground_intensity_properties_per_channel")
KEYS_OF_CONFIGURATION = (
    *("preprocessor_name", "spacing", "normalization_schemes", "use_mask_for_norm"),
    *("resampling_fn_data", "resampling_fn_data_kwargs", "resampling_fn_seg", "resampling_fn_seg_kwargs"),
)


def reuse_preprocessed_data(
    plans: dict[str, Any], folder: Path, case_identifiers: Sequence[str]
) -> Iterator[tuple[str, str]]:
    """Makes configurations use the data of nnUNetPlans, where those are complete and what preprocessing would give.

    The `data_identifier` of a configuration in `plans` may change. `folder` is the dataset's in nnUNet_preprocessed.
    Yields the name of a configuration and the decision, as a text to print.
    """
    try:
        default = json.loads((folder / f"{DEFAULT_PLANS}.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return
    if plans["plans_name"] == DEFAULT_PLANS or any(plans.get(key) != default.get(key) for key in KEYS_OF_PLANS):
        return
    for name, configuration in plans["configurations"].items():
        other = default["configurations"].get(name, {})
        if "data_identifier" not in configuration or "data_identifier" not in other:
            continue
        differing = [key for key in KEYS_OF_CONFIGURATION if configuration.get(key) != other.get(key)]
        if differing:
            yield name, f"data of its own, {DEFAULT_PLANS} differ in {', '.join(differing)}"
        elif fault := _first_fault(folder / other["data_identifier"], configuration, plans, case_identifiers):
            yield name, f"data of its own, those of {DEFAULT_PLANS} cannot be used: {fault}"
        else:
            configuration["data_identifier"] = other["data_identifier"]
            yield name, f"the preprocessed data of {DEFAULT_PLANS} are reused unchanged"


def _first_fault(
    folder: Path, configuration: Mapping[str, Any], plans: Mapping[str, Any], case_identifiers: Sequence[str]
) -> str | None:
    if not folder.is_dir() or not any(folder.iterdir()):
        return "not preprocessed"
    dataset = infer_dataset_class(str(folder))(str(folder))
    present = set(dataset.identifiers)
    unknown = sorted(present - set(case_identifiers))
    if unknown:
        return f"{unknown[0]} is not a case of the dataset"
    for identifier in case_identifiers:
        if identifier not in present or not (folder / f"{identifier}.pkl").is_file():
            return f"{identifier} is missing"
        try:
            if foreign := names_in((folder / f"{identifier}.pkl").read_bytes()) - HARMLESS:
                return f"{identifier}.pkl would load {', '.join(sorted(foreign))}"
            data, seg, _, properties = dataset.load_case(identifier)  # opens the files, reads no voxels
        except (OSError, RuntimeError, ValueError, EOFError, IndexError, pickle.UnpicklingError):
            return f"{identifier} cannot be read"
        spacing = [properties["spacing"][axis] for axis in plans["transpose_forward"]]
        # 2d does not resample across slices
        target = np.array([*spacing[: 3 - len(configuration["spacing"])], *configuration["spacing"]])
        shape = compute_new_shape(properties["shape_after_cropping_and_before_resampling"], spacing, target)
        expected = tuple(int(i) for i in shape)
        if tuple(data.shape[1:]) != expected or tuple(seg.shape[1:]) != expected:
            return f"{identifier} has shape {tuple(data.shape[1:])} there, not {expected}"
    return None
