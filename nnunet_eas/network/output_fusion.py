"""Multi-scale output fusion (Bi et al. 2023): one prediction from the outputs of all decoder stages."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

LINEAR = {4: "bilinear", 5: "trilinear"}
"""Mode of a linear resize by the number of a map's axes."""


class OutputFusion(nn.Module):
    """Every output's logits resized to full resolution, concatenated, 1x1 convolution.

    Computed as one 1x1 projection per output at that output's own resolution, then resized and added. That is the same
    function (a 1x1 convolution commutes with a linear resize) without the concatenated full-resolution map.

    It starts as the mean of the resized outputs. The weights are this module's own parameters rather than a
    convolution's, so that an initialisation of every convolution afterwards does not change that start.

    Args:
        conv_op: nn.Conv2d or nn.Conv3d; decides the resize (bilinear or trilinear, align_corners off).
        num_classes: Channels of every output.
        n_outputs: How many outputs are fused.

    Shape:
        `n_outputs` tensors (B, num_classes, *spatial_i), largest first -> (B, num_classes, *spatial_0)
    """

    def __init__(self, conv_op: type[nn.Conv2d] | type[nn.Conv3d], num_classes: int, n_outputs: int) -> None:
        super().__init__()
        dim = 2 if issubclass(conv_op, nn.Conv2d) else 3
        self.n_outputs = n_outputs
        # in the layout of the 1x1 convolution over the concatenation: (out, n_outputs * in, 1, 1(, 1))
        mean = torch.eye(num_classes).repeat(1, n_outputs) / n_outputs
        self.weight = nn.Parameter(mean.reshape(*mean.shape, *[1] * dim))
        self.bias = nn.Parameter(torch.zeros(num_classes))

    def forward(self, outputs: Sequence[torch.Tensor]) -> torch.Tensor:
        convolve = F.conv2d if outputs[0].ndim == 4 else F.conv3d
        weights = self.weight.chunk(self.n_outputs, dim=1)
        fused, *projected = [
            convolve(output, weight, bias).contiguous()  # PyTorch resizes few channels slowly in channels-last
            for output, weight, bias in zip(outputs, weights, [self.bias, *[None] * (self.n_outputs - 1)], strict=True)
        ]
        for logits in projected:
            fused = fused + F.interpolate(logits, fused.shape[2:], mode=LINEAR[fused.ndim], align_corners=False)
        return fused
