"""Checks of plans and dataset.json, before anything is built from them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from nnunet_eas.support.errors import shown

Rule = tuple[str, Callable[[Any], bool]]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value < 2**31


def _are(rule: Callable[[Any], bool], *lengths: int) -> Callable[[Any], bool]:
    return lambda value: (
        isinstance(value, (list, tuple)) and (not lengths or len(value) in lengths) and all(map(rule, value))
    )


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_order(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and sorted(map(str, value)) == ["0", "1", "2"]


OF_PLANS: dict[str, Rule] = {
    "dataset_name": ("be a text", _is_text),
    "plans_name": ("be a text", _is_text),
    "transpose_forward": ("be an order of 0, 1 and 2", _is_order),
    "transpose_backward": ("be an order of 0, 1 and 2", _is_order),
    "image_reader_writer": ("be a text", _is_text),
}
"""Entries of a plans file, and what each must be."""

OF_CONFIGURATION: dict[str, Rule] = {
    "data_identifier": ("be a text", _is_text),
    "preprocessor_name": ("be a text", _is_text),
    "batch_size": ("be a number of images from 1 on", _is_count),
    "patch_size": ("be 2 or 3 numbers of voxels from 1 on", _are(_is_count, 2, 3)),
    "spacing": ("be 2 or 3 numbers above 0, in mm", _are(lambda mm: _is_number(mm) and mm > 0, 2, 3)),
    "normalization_schemes": ("be a list of texts", _are(_is_text)),
    "use_mask_for_norm": ("be a list of true and false", _are(lambda value: isinstance(value, bool))),
    "architecture": ("be an object", lambda value: isinstance(value, Mapping)),
}
"""Entries of a configuration, with those that it inherits."""

OF_ARCHITECTURE: dict[str, Rule] = {
    "network_class_name": ("be a text", _is_text),
    "arch_kwargs": ("be an object", lambda value: isinstance(value, Mapping)),
    "_kw_requires_import": ("be a list of texts", _are(_is_text)),
}
"""Entries of a configuration's network."""


def check_plans(plans: Any, name: str = "plans.json") -> None:
    """Looks at everything that decides how images are read, resampled, cut into patches and segmented.

    Args:
        plans: Content of a plans file.
        name: Of the file, for the message.

    Raises:
        ValueError: An entry is missing or not what nnU-Net writes there.
    """
    if not isinstance(plans, Mapping) or not isinstance(plans.get("configurations"), Mapping):
        raise ValueError(f"{name} must be an object with configurations, got {shown(plans)}. Copy the file anew.")
    _check(plans, OF_PLANS, name)
    parents = {
        of_one.get("inherits_from") for of_one in plans["configurations"].values() if isinstance(of_one, Mapping)
    }
    for configuration, own in plans["configurations"].items():
        if configuration in parents and isinstance(own, Mapping) and "patch_size" not in own:
            continue  # a part that others complete
        try:
            resolved = PlansManager(deepcopy(dict(plans))).get_configuration(configuration).configuration
        except Exception as error:  # nnU-Net resolves what a configuration inherits, and may raise anything
            raise ValueError(
                f"{name} must have whole configurations, got {configuration}, which nnU-Net can't read ({error}). Copy "
                "the file anew."
            ) from error
        where = f"{name}, configuration {configuration}"
        _check(resolved, OF_CONFIGURATION, where)
        _check(resolved["architecture"], OF_ARCHITECTURE, f"{where}, architecture")
        if len(resolved["patch_size"]) != len(resolved["spacing"]):
            raise ValueError(
                f"{where}: patch_size and spacing must have as many axes, got {resolved['patch_size']} and "
                f"{resolved['spacing']}. Correct the plans."
            )


OF_DATASET: dict[str, Rule] = {
    "labels": ("be an object with the structures' names", lambda value: isinstance(value, Mapping) and len(value) > 1),
    "file_ending": ("be an ending such as .nii.gz", lambda value: _is_text(value) and value.startswith(".")),
}
"""Entries of dataset.json."""


def check_dataset(content: Any, name: str = "dataset.json") -> None:
    """Looks at what decides how scans are found and what labels mean.

    Args:
        content: Content of a dataset.json.
        name: Of the file, for the message.

    Raises:
        ValueError: An entry is missing or not what nnU-Net needs there.
    """
    if not isinstance(content, Mapping):
        raise ValueError(f"{name} must be an object, got {shown(content)}. Copy the file anew.")
    _check(content, OF_DATASET, name)
    channels = content.get("channel_names", content.get("modality"))  # the latter is nnU-Net v1's
    if not isinstance(channels, Mapping) or sorted(channels) != sorted(map(str, range(len(channels)))) or not channels:
        raise ValueError(
            f"{name}: channel_names must name channels 0, 1, ..., got {shown(channels)}. Correct the file."
        )


def _check(content: Mapping[str, Any], rules: Mapping[str, Rule], where: str) -> None:
    for key, (rule, holds) in rules.items():
        if key not in content:
            raise ValueError(f"{where} must have {key}, got {', '.join(map(str, content)) or 'nothing'}. Add it.")
        if not holds(content[key]):
            raise ValueError(f"{where}: {key} must {rule}, got {shown(content[key])}. Correct the file.")
