"""What a plan holds, in the numbers that people compare."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from torch.utils.flop_counter import FlopCounterMode

from nnunet_eas.plans.training_memory import StepMemory, training_step_memory

STEPS_PER_EPOCH = 250  # nnU-Net's
TRAINING_SHARE = 0.8  # of the cases, in nnU-Net's five folds


@dataclass(frozen=True)
class Stage:
    """One resolution of the encoder: its map's shape in voxels, channels, kernel and the stride that leads to it."""

    shape: tuple[int, ...]
    channels: int
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]


@dataclass(frozen=True)
class ConfigurationSummary:
    """One configuration of a plan.

    Attributes:
        network: The network class's name.
        patch_size: Voxels.
        spacing: mm, in the plan's axis order.
        batch_size: Samples a step.
        stages: Full resolution first.
        dilations: The EAS module's rates, None for another network.
        input_channels: Images' channels and, in a cascade's second stage, the first one's classes.
        num_outputs: The network's.
        parameters: Their number.
        flops: Of the forward pass of one patch, two for a multiplication with its addition.
        memory: Counted bytes of a training step, eager, half precision.
        steps_per_pass: Steps in which a training sees as many voxels as its images have.
    """

    network: str
    patch_size: tuple[int, ...]
    spacing: tuple[float, ...]
    batch_size: int
    stages: tuple[Stage, ...]
    dilations: list[list[int]] | None
    input_channels: int
    num_outputs: int
    parameters: int
    flops: int
    memory: StepMemory
    steps_per_pass: int

    @property
    def voxels_per_step(self) -> int:
        """Batch x patch."""
        return self.batch_size * math.prod(self.patch_size)


def summarise(plans: Mapping[str, Any], configuration: str, dataset_json: Mapping[str, Any]) -> ConfigurationSummary:
    """Counts on the meta device: no weight is made.

    Args:
        plans: A plans file's content, of any U-Net that nnU-Net can plan.
        configuration: One of its configurations.
        dataset_json: The dataset's.
    """
    manager = PlansManager(dict(plans))
    planned = manager.get_configuration(configuration)
    architecture = planned.configuration["architecture"]
    kwargs = architecture["arch_kwargs"]
    labels = manager.get_label_manager(dict(dataset_json))
    patch_size = tuple(planned.patch_size)
    channels = determine_num_input_channels(manager, planned, dict(dataset_json))
    outputs = labels.num_segmentation_heads

    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        network = get_network_from_plans(
            architecture["network_class_name"],
            dict(kwargs),
            architecture["_kw_requires_import"],
            channels,
            outputs,
            allow_init=False,
            deep_supervision=False,
        )
        network(torch.empty(1, channels, *patch_size))
    median = manager.original_median_shape_after_transp
    spacing_factor = [
        a / b for a, b in zip(manager.original_median_spacing_after_transp[-len(patch_size) :], planned.spacing)
    ]
    voxels = math.prod(median) * math.prod(spacing_factor) * dataset_json["numTraining"] * TRAINING_SHARE
    return ConfigurationSummary(
        network=architecture["network_class_name"].rsplit(".", 1)[-1],
        patch_size=patch_size,
        spacing=tuple(planned.spacing),
        batch_size=planned.batch_size,
        stages=tuple(_stages(patch_size, kwargs)),
        dilations=kwargs.get("dilations"),
        input_channels=channels,
        num_outputs=outputs,
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        flops=counter.get_total_flops(),
        memory=training_step_memory(
            architecture,
            input_channels=channels,
            num_outputs=outputs,
            patch_size=patch_size,
            batch_size=planned.batch_size,
            has_regions=labels.has_regions,
        ),
        steps_per_pass=math.ceil(voxels / (planned.batch_size * math.prod(patch_size))),
    )


def _stages(patch_size: Sequence[int], kwargs: Mapping[str, Any]) -> list[Stage]:
    shape, stages = tuple(patch_size), []
    for channels, kernel, stride in zip(
        kwargs["features_per_stage"], kwargs["kernel_sizes"], kwargs["strides"], strict=True
    ):
        shape = tuple(-(-edge // step) for edge, step in zip(shape, stride, strict=True))
        stages.append(Stage(shape, channels, tuple(kernel), tuple(stride)))
    return stages
