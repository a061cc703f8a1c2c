"""Translation of a planned U-Net to the EAS U-Net: pure functions that the planner and the trainers share."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from copy import deepcopy
from inspect import signature
from pathlib import Path
from typing import Any

from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from nnunet_eas.network.eas_unet import ARCH_FORMAT, INITIAL_SCALE, EASUNet

NETWORK_CLASS_NAME = f"{EASUNet.__module__}.{EASUNet.__name__}"

# of EASUNetPlanner's plans files; it grows when an older version would misread a newer file. 2: `recompute`
PLANS_FORMAT = 2

# networks of equal topologies have weights of the same shapes
TOPOLOGY = ("n_stages", "features_per_stage", "conv_op", "kernel_sizes", "strides")


def refuse_later_plans(plans: Mapping[str, Any]) -> None:
    """Raises ValueError where plans come from a later version of nnunet-eas."""
    plans_format = plans.get("nnunet_eas", {}).get("plans_format", PLANS_FORMAT)
    if plans_format > PLANS_FORMAT:
        raise ValueError(
            f"{plans.get('plans_name')} must have a plans_format of at most {PLANS_FORMAT} for this version of nnunet-"
            f"eas, got {plans_format}. The plans come from a later version: run pip install --upgrade nnunet-eas."
        )


def check_structures(dataset_json: Mapping[str, Any], name: str | Path = "dataset.json") -> None:
    """Raises ValueError where a dataset has nothing to segment."""
    if not set(dataset_json.get("labels", {})) - {"background", "ignore"}:
        raise ValueError(
            f"labels in {name} must name the background and at least one structure, got {dataset_json.get('labels')}. "
            "Add e.g. {'background': 0, 'femoral_cartilage': 1}."
        )


def names_eas_unet(architecture: Mapping[str, Any]) -> bool:
    """Tells whether a plan's `architecture` names an EAS U-Net."""
    return architecture["network_class_name"].rsplit(".", 1)[-1] == EASUNet.__name__


def dilation_rates(edges: Sequence[int]) -> list[list[int]]:
    """Dilation rates of the EAS module for a bottleneck map, one list per branch: 1/4, 1/2 and 3/4 of each edge.

    These are DeepLab's proportions: an edge of 24 gives 6, 12, 18. Along an axis of edge e a rate is at least 1 and at
    most e - 1, so that the outer taps see the map and not only padding; an edge of 1 gives 1. Equal branches come once.
    """
    # floor(q * e + 1/2) for q = n / 4, in integers
    branches = [[max(1, min((n * e + 2) // 4, e - 1)) for e in edges] for n in (1, 2, 3)]
    return [branch for i, branch in enumerate(branches) if branch not in branches[:i]]


def bottleneck_edges(patch_size: Sequence[int], strides: Sequence[Sequence[int]]) -> list[int]:
    """Shape in voxels of the last stage's map; a ValueError where the strides do not divide the patch."""
    divisor = [math.prod(stage[axis] for stage in strides) for axis in range(len(patch_size))]
    if any(p % d for p, d in zip(patch_size, divisor, strict=True)):
        raise ValueError(
            f"patch_size must be divisible by {divisor}, the product of its strides, got {list(patch_size)}. "
            f"Use e.g. {[-(-p // d) * d for p, d in zip(patch_size, divisor, strict=True)]} in the plan."
        )
    return [p // d for p, d in zip(patch_size, divisor, strict=True)]


def switches(dim: int, of_the_paper: bool = False) -> dict[str, Any]:
    """The switches in which the network of `EASUNetTrainer` differs from the paper's, with its values, or the paper's.

    The paper is 2-D. In 3-D its network has the norm of arch format 1, instance norm.
    """
    if of_the_paper:
        norm = "batchnorm.BatchNorm2d" if dim == 2 else "instancenorm.InstanceNorm3d"
        return {"norm_op": f"torch.nn.modules.{norm}", "shortcut": False, "eas_first_scale": None}
    return {"norm_op": f"torch.nn.modules.batchnorm.BatchNorm{dim}d", "shortcut": True, "eas_first_scale": 0.1}


def translate_architecture(configuration: Mapping[str, Any], of_the_paper: bool = False) -> dict[str, Any]:
    """Translates a planned U-Net to the EAS U-Net, in the form in which a plan records a network.

    Topology, blocks per stage, dropout and the depthwise activation are kept. Residual plans get two blocks per stage,
    as in the paper. No switch depends on the batch size, which users edit and DDP splits. The configuration has its
    inheritance resolved; it is not changed. `of_the_paper` gives the paper's network (`switches`).
    """
    source = configuration["architecture"]
    kwargs = source["arch_kwargs"]
    missing = [key for key in TOPOLOGY if key not in kwargs]
    if missing:
        raise ValueError(
            f"architecture must be a U-Net with {', '.join(TOPOLOGY)}, got {source['network_class_name']} without "
            f"{', '.join(missing)}. Train from nnUNetPlans or one of the nnUNetResEncUNetPlans (-p)."
        )
    n_stages = kwargs["n_stages"]
    if n_stages < 2:
        raise ValueError(f"n_stages must be at least 2, got {n_stages}. These images are too small for a U-Net.")
    for key in ("features_per_stage", "kernel_sizes", "strides"):
        if len(kwargs[key]) != n_stages:
            raise ValueError(f"{key} must have n_stages = {n_stages} entries, got {len(kwargs[key])}. Fix the plan.")
    edges = bottleneck_edges(configuration["patch_size"], kwargs["strides"])
    blocks = {"n_conv_per_stage": [2] * n_stages, "n_conv_per_stage_decoder": [2] * (n_stages - 1)}
    if "n_conv_per_stage" in kwargs:  # not a residual network
        blocks = {key: kwargs[key] for key in blocks}
    kept = {key: kwargs[key] for key in ("dropout_op", "dropout_op_kwargs", "nonlin", "nonlin_kwargs")}
    return {
        "network_class_name": NETWORK_CLASS_NAME,
        "arch_kwargs": {
            **deepcopy({key: kwargs[key] for key in TOPOLOGY} | blocks),
            "conv_bias": kwargs["conv_bias"],
            "norm_op_kwargs": {"eps": 1e-5, "affine": True},
            **deepcopy(kept),
            "nonlin_first": kwargs.get("nonlin_first", False),
            "pointwise_nonlin": "torch.nn.Hardswish",
            "pointwise_nonlin_kwargs": None,
            "stem": "full",
            "block": "separable",
            "pool": "max",
            "eas_module": True,
            "dilated_block": "separable",
            "dilations": dilation_rates(edges),
            "output_fusion": True,
            **switches(len(edges), of_the_paper),
            "initial_scale": INITIAL_SCALE,
            "arch_format": ARCH_FORMAT,
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin", "pointwise_nonlin"],
    }


def translate_plans(
    plans: Mapping[str, Any], trained: Mapping[str, Any] | None = None, of_the_paper: bool = False
) -> dict[str, Any]:
    """Copies plans and translates every configuration to an EAS U-Net.

    A configuration that already names an EAS U-Net is copied, but for `trained` and `of_the_paper` below; its patch is
    checked. A translated one gets `recompute`, where it has none, so that a training holds no more memory than that of
    the planned network.

    Args:
        plans: Content of a plans file.
        trained: The plans saved with a trained model. A translated configuration with the same patch and topology there
            gets the network recorded there, and so does one that names a network of a later arch format: a resumed
            training and the next fold get the network of the folds before, whatever this version translates to.
        of_the_paper: Translate to the paper's network. A configuration that names an EAS U-Net of arch format 2 gets
            the paper's value of every switch that has this version's (`switches`).

    Raises:
        ValueError: The plans come from a later version, or a configuration can't be translated.
    """
    refuse_later_plans(plans)
    planned = _resolved_configurations(plans)
    recorded = {} if trained is None else _resolved_configurations(trained)
    translated = deepcopy(dict(plans))
    for name, configuration in planned.items():
        architecture = configuration["architecture"]
        is_named = names_eas_unet(architecture)
        try:
            if is_named:
                bottleneck_edges(configuration["patch_size"], architecture["arch_kwargs"]["strides"])
                chosen = _as_in_the_paper(architecture) if of_the_paper else architecture
            else:
                chosen = translate_architecture(configuration, of_the_paper)
        except ValueError as e:
            raise ValueError(f"Configuration {name} of {plans['plans_name']}: {e}") from e
        if name in recorded and _same_shape(recorded[name], {**configuration, "architecture": chosen}):
            before = recorded[name]["architecture"]
            if not is_named or _arch_format(before) < _arch_format(chosen):
                chosen = before
        # the patch was planned for a network that keeps less; whoever wrote the key into the plans decides
        if not is_named and "recompute" not in configuration:
            translated["configurations"][name]["recompute"] = True
        if chosen is not architecture:  # otherwise it may be inherited
            translated["configurations"][name]["architecture"] = deepcopy(chosen)
    return translated


def architecture_differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    """Differences of two plans' `architecture` entries, one sentence each; empty where both build the same network.

    A switch that is not recorded has the constructor's value. First weights are no difference.
    """
    if a["network_class_name"] != b["network_class_name"]:
        return [f"network {a['network_class_name']} there and {b['network_class_name']} here"]
    defaults = _defaults() if names_eas_unet(a) else {}
    left, right = ({**defaults, **each["arch_kwargs"]} for each in (a, b))
    return [
        f"{key} {left.get(key)} there and {right.get(key)} here"
        for key in sorted({*a["arch_kwargs"], *b["arch_kwargs"]} - {"arch_format", "initial_scale"})
        if _plain(left.get(key)) != _plain(right.get(key))
    ]


def _resolved_configurations(plans: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    # nnU-Net resolves `inherits_from` and reconstructs the architecture of plans that do not record it
    manager = PlansManager(deepcopy(dict(plans)))
    return {name: manager.get_configuration(name).configuration for name in plans["configurations"]}


def _as_in_the_paper(architecture: Mapping[str, Any]) -> Mapping[str, Any]:
    kwargs = architecture["arch_kwargs"]
    if _arch_format(architecture) < 2:
        return architecture  # whatever stands there was wanted
    dim = 3 if kwargs["conv_op"].endswith("3d") else 2
    ours, paper = switches(dim), switches(dim, of_the_paper=True)
    changed = {key: paper[key] for key in paper if key in kwargs and kwargs[key] == ours[key]}
    return {**architecture, "arch_kwargs": {**kwargs, **changed}} if changed else architecture


def _defaults() -> dict[str, Any]:
    """The constructor's defaults, as plans record them."""
    values = {key: parameter.default for key, parameter in signature(EASUNet).parameters.items()}
    return {key: f"torch.nn.{v.__name__}" if isinstance(v, type) else v for key, v in values.items()}


def _arch_format(architecture: Mapping[str, Any]) -> int:
    return architecture["arch_kwargs"].get("arch_format", 1)


def _same_shape(recorded: Mapping[str, Any], translated: Mapping[str, Any]) -> bool:
    a, b = recorded["architecture"], translated["architecture"]
    return (
        names_eas_unet(a)
        and list(recorded["patch_size"]) == list(translated["patch_size"])
        and all(_plain(a["arch_kwargs"][key]) == _plain(b["arch_kwargs"][key]) for key in TOPOLOGY)
    )


def _plain(value: Any) -> Any:
    """Converts tuples to lists, as JSON does."""
    return [_plain(v) for v in value] if isinstance(value, (list, tuple)) else value
