"""The settings of each model's training, from plans.json, debug.json and the logs.

nnU-Net's debug.json also holds the machine's name and a user's paths: only the keys listed here get on the page.
"""

from __future__ import annotations

import platform
import statistics
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import nnunet_eas
from nnunet_eas.reporting.model import Model
from nnunet_eas.reporting.training_log import Curve
from nnunet_eas.support.files import read_json

_OF_TRAINER = {
    "num_epochs": "epochs planned",
    "num_iterations_per_epoch": "iterations per epoch",
    "initial_lr": "initial learning rate",
    "weight_decay": "weight decay",
    "oversample_foreground_percent": "oversampled foreground",
    "enable_deep_supervision": "deep supervision",
    "inference_allowed_mirroring_axes": "mirrored axes",
    "network": "network as built",
    "device": "device",
    "gpu_name": "GPU",
    "torch_version": "PyTorch",
    "cudnn_version": "cuDNN",
}
_OF_PLAN = {
    "spacing": "spacing, mm",
    "patch_size": "patch size",
    "batch_size": "batch size",
    "normalization_schemes": "normalisation, per channel",
}
_MEASURED_WITH = ("numpy", "scipy", "SimpleITK")
_UNTOLD = ("None", "OptimizedModule", "DistributedDataParallel")  # wrappers hide the network's name


def settings(model: Model, curves: Mapping[str, Curve]) -> dict[str, str]:
    """The settings of one model, name and value; `curves` are its training curves by fold."""
    found = {"trainer": model.trainer, "plans": model.plans_name, "configuration": model.configuration}
    found["folds"] = ", ".join(fold.name.removeprefix("fold_") for fold in model.folds)
    found["epochs trained, per fold"] = ", ".join(
        str(max(curve) + 1) if curve else "no log" for curve in curves.values()
    )
    seconds = [epoch.seconds for curve in curves.values() for epoch in curve.values() if epoch.seconds > 0]
    if seconds:
        found["median time of an epoch, s"] = f"{statistics.median(seconds):.1f}"
    plan = _resolved(model.plans["configurations"], model.configuration)
    found |= {name: _text(plan[key], inner=True) for key, name in _OF_PLAN.items() if key in plan}
    architecture = plan.get("architecture", {})
    if "network_class_name" in architecture:
        found["network in the plan"] = str(architecture["network_class_name"])
    found |= {f"network: {key}": _text(value) for key, value in architecture.get("arch_kwargs", {}).items()}
    debug = [_debug(fold) for fold in model.folds]
    for key, name in _OF_TRAINER.items():
        values = [str(content[key]) for content in debug if content.get(key, "None") not in _UNTOLD]
        if values:
            found[name] = ", ".join(dict.fromkeys(values))
    return found


def compared(of_models: Mapping[str, Mapping[str, str]]) -> dict[str, list[str]]:
    """By setting the values of all models, from the `settings` of each; a dash where a model has none."""
    names = dict.fromkeys(name for found in of_models.values() for name in found)
    return {name: [found.get(name, "\u2013") for found in of_models.values()] for name in names}


def measured_with() -> str:
    """The versions of the software that computed the numbers."""
    versions = [f"Python {platform.python_version()}", f"nnunet-eas {nnunet_eas.__version__}"]
    return ", ".join([*versions, *(f"{package} {metadata.version(package)}" for package in _MEASURED_WITH)])


def _resolved(configurations: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A configuration with the entries that it inherits."""
    own = dict(configurations[name])
    parent = own.pop("inherits_from", None)
    return {**_resolved({k: v for k, v in configurations.items() if k != name}, parent), **own} if parent else own


def _debug(fold: Path) -> dict[str, Any]:
    """The content of a fold's debug.json; empty where it can't be read."""
    try:
        return read_json(fold / "debug.json", "debug.json", keys=())
    except (OSError, ValueError):
        return {}


def _text(value: Any, inner: bool = False) -> str:
    """A value as short text: a list with commas, a list of numbers in it as 3 × 3 × 3."""
    if isinstance(value, list):
        edges = inner and all(isinstance(v, (int, float)) for v in value)
        return (" × " if edges else ", ").join(_text(v, not inner) for v in value)
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(of_key)}" for key, of_key in value.items()) or "none"
    if isinstance(value, float):
        return f"{value:.6g}"
    return "none" if value is None else str(value)
