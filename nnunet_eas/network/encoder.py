"""The encoder of the EAS U-Net."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from dynamic_network_architectures.building_blocks.helper import get_matching_pool_op
from torch import nn

from nnunet_eas.network.blocks import Stage


class EASEncoder(nn.Module):
    """Stages of blocks with pooling between them, and the EAS module after the last.

    Args:
        conv_op: nn.Conv2d or nn.Conv3d.
        input_channels: Channels of the image.
        features_per_stage: Channels, one entry per stage.
        kernel_sizes: Per stage and axis.
        strides: Per stage and axis; the first is 1.
        n_conv_per_stage: Blocks per stage.
        stem: Builds the network's very first block: (input_channels, output_channels, kernel_size, stride=...).
        block: Builds every other block, with the same arguments.
        max_pool: Whether max pooling leads down, with the stride as its kernel; otherwise a stage's first block is
            strided.
        bottleneck: The module after the last stage: the EAS module, or nn.Identity without it.

    Shape:
        (B, input_channels, *spatial) -> one map per stage, full resolution first
    """

    def __init__(
        self,
        conv_op: type[nn.Conv2d] | type[nn.Conv3d],
        input_channels: int,
        features_per_stage: Sequence[int],
        kernel_sizes: Sequence[Sequence[int]],
        strides: Sequence[Sequence[int]],
        n_conv_per_stage: Sequence[int],
        stem: Callable[..., nn.Module],
        block: Callable[..., nn.Module],
        max_pool: bool,
        bottleneck: nn.Module,
    ) -> None:
        super().__init__()
        stages = []
        channels = input_channels
        pool = get_matching_pool_op(conv_op, pool_type="max")
        per_stage = zip(features_per_stage, kernel_sizes, strides, n_conv_per_stage, strict=True)
        for s, (features, kernel, stride, n_conv) in enumerate(per_stage):
            pools = max_pool and any(i != 1 for i in stride)
            modules: list[nn.Module] = [pool(kernel_size=tuple(stride), stride=tuple(stride))] if pools else []
            for i in range(n_conv):
                build = stem if s == i == 0 else block
                modules.append(build(channels, features, kernel, stride=stride if i == 0 and not pools else 1))
                channels = features
            stages.append(Stage(*modules))
        self.stages = nn.ModuleList(stages)
        self.bottleneck = bottleneck

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return [*maps[:-1], self.bottleneck(x)]
