"""Efficient channel attention (Wang et al. 2020, ECA-Net)."""

from __future__ import annotations

import math

import torch
from torch import nn


class ECA(nn.Module):
    """Scales every channel by a gate computed from the channel and its neighbours.

    Global average pool -> one 1-D convolution over the channels -> sigmoid -> scale, with kernel size
    odd(|log2(C) / 2 + 1/2|). Differs from the authors' code only in the dimension: the mean is taken over all spatial
    axes, 2-D or 3-D.

    Args:
        channels: Channels of the map, at least 1.

    Shape:
        (B, channels, *spatial) -> the same
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        if channels < 1:
            raise ValueError(f"channels must be at least 1, got {channels}. Give the number of channels of the map.")
        size = int(abs(math.log2(channels) / 2 + 0.5))
        size += 1 - size % 2  # to the next odd number, as the authors' code does
        self.conv = nn.Conv1d(1, 1, size, padding=size // 2, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean = x.flatten(2).mean(dim=2)
        gate = self.conv(mean.unsqueeze(1)).sigmoid().squeeze(1)
        return x * gate.reshape(*gate.shape, *[1] * (x.ndim - 2))
