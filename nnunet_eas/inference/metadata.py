"""Metadata of an exported file: all that prediction with it needs."""

from __future__ import annotations

from importlib import metadata as installed
from typing import Any

from nnunet_eas.inference.trained_model import TrainedModel

FORMAT = 1  # grows when an entry changes its meaning or goes; a new entry alone does not change it
PACKAGES = ("nnunet-eas", "nnunetv2", "dynamic-network-architectures", "torch")


def describe(model: TrainedModel, folds: tuple[int | str, ...]) -> dict[str, Any]:
    """The metadata of a file with some of the model's folds, averaged if there are several, as JSON can hold them.

    They are the same for the same model and versions: no dates, paths, host or user names. `transpose_forward` permutes
    the axes of an array as SimpleITK gives it (z, y, x); everything else names the transposed axes: patch, spacing (mm;
    a 2-D model's is that within a slice, slices are along the first axis) and mirroring.
    """
    plans, configuration, labels = model.plans_manager, model.configuration, model.label_manager
    dataset = model.dataset_json
    content = configuration.configuration
    return {
        "format": FORMAT,
        "dataset": plans.dataset_name,
        "trainer": model.trainer_name,
        "plans": plans.plans_name,
        "configuration": model.configuration_name,
        "folds": list(folds),
        "versions": {name: installed.version(name) for name in PACKAGES},
        # from a file to the graph's input
        "file_ending": dataset["file_ending"],
        "image_reader_writer": plans.plans["image_reader_writer"],
        "preprocessor": configuration.preprocessor_name,
        "channel_names": model.channel_names,
        "transpose_forward": list(plans.transpose_forward),
        "spacing": [float(edge) for edge in configuration.spacing],
        "normalization_schemes": list(configuration.normalization_schemes),
        "use_mask_for_norm": list(configuration.use_mask_for_norm),
        "foreground_intensity_properties_per_channel": plans.foreground_intensity_properties_per_channel,
        "resampling_data": _resampling(content, "data"),
        "previous_stage": configuration.previous_stage_name,
        "previous_stage_labels": _plain(labels.foreground_labels) if configuration.previous_stage_name else [],
        # the sliding window
        "input_channels": model.input_channels,
        "patch_size": list(model.patch_size),
        "tile_step_size": 0.5,
        "gaussian": {"sigma_of_patch": 1 / 8, "centre": "patch_size // 2", "peak": 10.0, "dtype": "float16"},
        "mirroring_axes": None if model.mirroring_axes is None else list(model.mirroring_axes),
        # from the graph's output to a mask
        "labels": dataset["labels"],
        "heads": _plain(labels.foreground_regions if labels.has_regions else labels.all_labels),
        "regions_class_order": dataset.get("regions_class_order") if labels.has_regions else None,
        "ignore_label": labels.ignore_label,
        "resampling_probabilities": _resampling(content, "probabilities"),
        "transpose_backward": list(plans.transpose_backward),
    }


def _resampling(configuration: dict[str, Any], what: str) -> dict[str, Any]:
    name = f"resampling_fn_{what}"
    return {"function": configuration[name], "kwargs": configuration[f"{name}_kwargs"]}


def _plain(value: Any) -> Any:
    """Labels and regions without tuples and NumPy's integers, which JSON does not know."""
    return [_plain(v) for v in value] if isinstance(value, (list, tuple)) else int(value)
