"""The outputs of the decoder: one head per stage, and their fusion."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from nnunet_eas.network.output_fusion import OutputFusion


class SegLayers(nn.Module):
    """A 1x1 head for every decoder stage; the prediction is the fusion of all of them.

    All heads always exist, so that weights load with deep supervision on or off.

    Args:
        conv_op: nn.Conv2d or nn.Conv3d.
        features: Channels of the decoder's stages, full resolution first.
        num_classes: Channels of every output.
        output_fusion: Fuse; otherwise the prediction is the full-resolution head alone.

    Shape:
        The logits of every head, (B, num_classes, *spatial_i), full resolution first -> the prediction
        (B, num_classes, *spatial_0); with `deep_supervision` a list of it and the logits of every further stage
    """

    def __init__(
        self,
        conv_op: type[nn.Conv2d] | type[nn.Conv3d],
        features: Sequence[int],
        num_classes: int,
        output_fusion: bool,
    ) -> None:
        super().__init__()
        self.heads = nn.ModuleList(conv_op(channels, num_classes, 1, bias=True) for channels in features)
        self.fusion = OutputFusion(conv_op, num_classes, len(features)) if output_fusion else None

    def forward(self, logits: Sequence[torch.Tensor], deep_supervision: bool) -> torch.Tensor | list[torch.Tensor]:
        prediction = logits[0] if self.fusion is None else self.fusion(logits)
        return [prediction, *logits[1:]] if deep_supervision else prediction
