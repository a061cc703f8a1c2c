"""SegNet (Badrinarayanan, Kendall, Cipolla 2017): a decoder that unpools with the indices of the maxima.

MONAI and segmentation-models-pytorch do not have it. Differs in: two convolutions a stage where VGG-16 has two or
three, and the plan's stages and widths; instance norm in 3-D.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn


class SegNet(nn.Module):
    """Encoder and decoder that are connected by pooling indices instead of skips.

    Args:
        input_channels: Channels of the image.
        num_classes: Channels of the logits.
        features_per_stage: Channels of each stage.
        strides: Per stage and axis, the first all ones: kernel and stride of the pooling before the stage.

    Shape:
        (B, input_channels, *spatial) to (B, num_classes, *spatial); no edge may shrink below 1.
    """

    def __init__(
        self,
        input_channels: int,
        num_classes: int,
        features_per_stage: Sequence[int],
        strides: Sequence[Sequence[int]],
    ) -> None:
        super().__init__()
        is_2d = len(strides[0]) == 2
        self.pools = nn.ModuleList(
            (nn.MaxPool2d if is_2d else nn.MaxPool3d)(tuple(s), stride=tuple(s), return_indices=True)
            for s in strides[1:]
        )
        self.unpools = nn.ModuleList((nn.MaxUnpool2d if is_2d else nn.MaxUnpool3d)(tuple(s)) for s in strides[1:])
        widths = [input_channels, *features_per_stage]
        self.encoder = nn.ModuleList(
            nn.Sequential(_conv(before, after, is_2d), _conv(after, after, is_2d)) for before, after in pairwise(widths)
        )
        self.bottom = _conv(widths[-1], widths[-2], is_2d)  # unpooling keeps the channels of the finer stage
        self.decoder = nn.ModuleList(
            nn.Sequential(_conv(width, width, is_2d), _conv(width, narrower, is_2d))
            for narrower, width in zip([widths[1], *widths[1:-2]], widths[1:-1])
        )
        self.head = (nn.Conv2d if is_2d else nn.Conv3d)(widths[1], num_classes, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        positions = []
        for stage, pool in zip(self.encoder, self.pools):
            x = stage(x)
            edges = x.shape[2:]
            x, indices = pool(x)
            positions.append((indices, edges))
        x = self.bottom(self.encoder[-1](x))
        for stage, unpool, (indices, edges) in zip(
            reversed(self.decoder), reversed(self.unpools), reversed(positions), strict=True
        ):
            x = stage(unpool(x, indices, output_size=edges))
        return self.head(x)


def _conv(before: int, after: int, is_2d: bool) -> nn.Sequential:
    if is_2d:
        return nn.Sequential(nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU(True))
    norm = nn.InstanceNorm3d(after, affine=True)
    return nn.Sequential(nn.Conv3d(before, after, 3, padding=1, bias=False), norm, nn.ReLU(True))
