"""Summary of a planned configuration: its size, cost and memory in numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from nnunet_eas.gpu import checkpoint_stages
from nnunet_eas.network.blocks import ResidualSeparableConv
from nnunet_eas.network.eas_module import EASModule
from nnunet_eas.network.eas_unet import EASUNet
from nnunet_eas.plans.training_memory import StepMemory, network_on_meta, training_step

TRAINING_SHARE = 0.8  # of the cases, in nnU-Net's five folds


class Stage(NamedTuple):
    """One resolution of the encoder: shape in voxels, channels, kernel, and the stride that leads to it."""

    shape: tuple[int, ...]
    channels: int
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]


@dataclass(frozen=True)
class ConfigurationSummary:
    """One configuration of a plan; lengths in voxels, `spacing` in mm, in the plan's axis order."""

    network: str  # name of the class
    patch_size: tuple[int, ...]
    spacing: tuple[float, ...]
    batch_size: int
    stages: tuple[Stage, ...]  # full resolution first
    norm: str | None  # name of the class
    shortcuts: int  # blocks that add their input
    eas_module: str | None  # how it stands in the network; None for another network
    dilations: list[list[int]] | None  # rates of the EAS module; None for another network
    input_channels: int  # of the images and, in a cascade's second stage, one for each class of the first stage
    num_outputs: int
    parameters: int
    flops: int  # of the forward pass of one patch; a multiplication with its addition counts as two
    recompute: bool  # whether the plan has the stages' maps computed again in the backward pass
    recomputed_flops: int  # of the same patch, which this adds to a training step
    memory: StepMemory  # of a training step, eager, half precision
    steps_per_pass: int  # steps in which a training sees as many voxels as its images have
    steps_per_epoch: int = 250  # nnU-Net's

    @property
    def voxels_per_step(self) -> int:
        """Batch x patch."""
        return self.batch_size * math.prod(self.patch_size)


def summarise(plans: Mapping[str, Any], configuration: str, dataset_json: Mapping[str, Any]) -> ConfigurationSummary:
    """Counts the size, cost and memory of any U-Net that nnU-Net can plan, on the meta device, without its weights."""
    manager = PlansManager(dict(plans))
    planned = manager.get_configuration(configuration)
    architecture = planned.configuration["architecture"]
    labels = manager.get_label_manager(dict(dataset_json))
    patch_size = tuple(planned.patch_size)
    channels = determine_num_input_channels(manager, planned, dict(dataset_json))
    outputs = labels.num_segmentation_heads

    shape, stages = patch_size, []
    kwargs = architecture["arch_kwargs"]
    topology = zip(kwargs["features_per_stage"], kwargs["kernel_sizes"], kwargs["strides"], strict=True)
    for features, kernel, stride in topology:
        shape = tuple(-(-edge // step) for edge, step in zip(shape, stride, strict=True))
        stages.append(Stage(shape, features, tuple(kernel), tuple(stride)))
    network = network_on_meta(architecture, channels, outputs, deep_supervision=False)
    patch = torch.empty(1, channels, *patch_size, device="meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(patch)
    recompute = planned.configuration.get("recompute", False)
    spacing = manager.original_median_spacing_after_transp[-len(patch_size) :]
    resampling = math.prod(a / b for a, b in zip(spacing, planned.spacing, strict=True))
    median = math.prod(manager.original_median_shape_after_transp)
    voxels = median * resampling * dataset_json["numTraining"] * TRAINING_SHARE
    return ConfigurationSummary(
        network=architecture["network_class_name"].rsplit(".", 1)[-1],
        patch_size=patch_size,
        spacing=tuple(planned.spacing),
        batch_size=planned.batch_size,
        stages=tuple(stages),
        norm=None if kwargs.get("norm_op") is None else kwargs["norm_op"].rsplit(".", 1)[-1],
        shortcuts=sum(isinstance(module, ResidualSeparableConv) for module in network.modules()),
        eas_module=_eas_module(network),
        dilations=kwargs.get("dilations"),
        input_channels=channels,
        num_outputs=outputs,
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        flops=counter.get_total_flops(),
        recompute=recompute,
        recomputed_flops=_recomputed_flops(network, patch) if recompute else 0,
        memory=training_step(architecture, channels, outputs, labels.has_regions, recompute=recompute).memory(
            patch_size, planned.batch_size
        ),
        steps_per_pass=math.ceil(voxels / (planned.batch_size * math.prod(patch_size))),
    )


def _eas_module(network: nn.Module) -> str | None:
    if not isinstance(network, EASUNet):
        return None
    module = network.encoder.bottleneck
    if not isinstance(module, EASModule):
        return "none"
    return "in place of its input" if module.scale is None else "added to its input"


def _recomputed_flops(network: nn.Module, patch: torch.Tensor) -> int:
    """Operations that recomputation adds to a step, convolutions in a backward pass; the network stays checkpointed."""
    checkpoint_stages(network)
    total = network(patch).sum()
    with FlopCounterMode(display=False) as counter:
        total.backward()
    return counter.get_flop_counts()["Global"].get(torch.ops.aten.convolution, 0)
