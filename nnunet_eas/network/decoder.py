"""The decoder of the EAS U-Net."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from dynamic_network_architectures.building_blocks.helper import get_matching_convtransp
from torch import nn

from nnunet_eas.network.blocks import Stage
from nnunet_eas.network.seg_layers import SegLayers


class EASDecoder(nn.Module):
    """Transposed convolution, concatenation with the skip, blocks; the outputs of all stages fused.

    The weights that depend on the number of classes live in `seg_layers`: nnU-Net's `-pretrained_weights` leaves out
    weights of that name.

    Args:
        conv_op: nn.Conv2d or nn.Conv3d.
        num_classes: Channels of every output.
        features_per_stage: The encoder's channels, full resolution first.
        kernel_sizes: The encoder's, per stage and axis.
        strides: The encoder's, per stage and axis.
        n_conv_per_stage: Blocks per decoder stage, lowest resolution first, one entry fewer than the encoder has.
        block: Builds a block: (input_channels, output_channels, kernel_size).
        conv_bias: Bias of the transposed convolutions.
        output_fusion: The prediction is the fusion of all heads; otherwise it is the full-resolution head.
        deep_supervision: Return all outputs; may be switched at any time through the attribute of this name.

    Shape:
        The encoder's maps -> (B, num_classes, *spatial), or with deep supervision a list of them: the prediction, the
        head at 1/2, the head at 1/4, ... down to the second lowest stage.
    """

    def __init__(
        self,
        conv_op: type[nn.Conv2d] | type[nn.Conv3d],
        num_classes: int,
        features_per_stage: Sequence[int],
        kernel_sizes: Sequence[Sequence[int]],
        strides: Sequence[Sequence[int]],
        n_conv_per_stage: Sequence[int],
        block: Callable[..., nn.Module],
        conv_bias: bool,
        output_fusion: bool,
        deep_supervision: bool,
    ) -> None:
        super().__init__()
        self.deep_supervision = deep_supervision
        transposed = get_matching_convtransp(conv_op)
        self.transpconvs = nn.ModuleList()
        self.stages = nn.ModuleList()
        for n_conv, s in zip(n_conv_per_stage, reversed(range(len(features_per_stage) - 1)), strict=True):
            below, features, stride = features_per_stage[s + 1], features_per_stage[s], tuple(strides[s + 1])
            self.transpconvs.append(transposed(below, features, stride, stride, bias=conv_bias))
            channels = [2 * features] + [features] * (n_conv - 1)
            self.stages.append(Stage(*[block(c, features, kernel_sizes[s]) for c in channels]))
        self.seg_layers = SegLayers(conv_op, features_per_stage[:-1], num_classes, output_fusion)

    def forward(self, skips: Sequence[torch.Tensor]) -> torch.Tensor | list[torch.Tensor]:
        x, logits = skips[-1], []  # from the lowest resolution up
        heads = reversed(self.seg_layers.heads)
        for transpconv, stage, head, skip in zip(self.transpconvs, self.stages, heads, skips[-2::-1], strict=True):
            x = stage(transpconv(x), skip)
            # Each head runs directly after its stage: in the backward pass its gradient is then used and freed before
            # the next head's is made.
            logits.append(head(x))
        return self.seg_layers(logits[::-1], self.deep_supervision)
