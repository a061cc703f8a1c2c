"""The decoder of the EAS U-Net."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from dynamic_network_architectures.building_blocks.helper import get_matching_convtransp
from torch import nn
from torch.nn.modules.conv import _ConvNd

from nnunet_eas.network.output_fusion import OutputFusion


class EASDecoder(nn.Module):
    """Transposed convolution, concatenation with the skip, blocks; a 1x1 head per stage; the heads fused.

    The heads and their fusion live in `seg_layers`, whose name tells nnU-Net which weights belong to the classes and
    do not travel with `-pretrained_weights`. All heads always exist, so that weights load with deep supervision on or
    off.

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
        conv_op: type[_ConvNd],
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
        n_decoder_stages = len(features_per_stage) - 1
        transposed = get_matching_convtransp(conv_op)
        self.transpconvs = nn.ModuleList()
        self.stages = nn.ModuleList()
        heads = nn.ModuleList()
        for d in range(n_decoder_stages):
            s = n_decoder_stages - 1 - d  # the encoder stage whose resolution this decoder stage has
            below, features, stride = features_per_stage[s + 1], features_per_stage[s], tuple(strides[s + 1])
            self.transpconvs.append(transposed(below, features, stride, stride, bias=conv_bias))
            channels = [2 * features] + [features] * (n_conv_per_stage[d] - 1)
            self.stages.append(nn.Sequential(*[block(c, features, kernel_sizes[s]) for c in channels]))
            heads.append(conv_op(features, num_classes, 1, bias=True))
        self.seg_layers = nn.ModuleDict({"heads": heads})
        if output_fusion:
            self.seg_layers["fusion"] = OutputFusion(conv_op, num_classes, n_decoder_stages)

    def forward(self, skips: Sequence[torch.Tensor]) -> torch.Tensor | list[torch.Tensor]:
        fuse = self.seg_layers["fusion"] if "fusion" in self.seg_layers else None
        x = skips[-1]
        maps = []
        for transpconv, stage, skip in zip(self.transpconvs, self.stages, reversed(skips[:-1]), strict=True):
            x = stage(torch.cat((transpconv(x), skip), dim=1))
            maps.append(x)
        if fuse is None and not self.deep_supervision:
            return self.seg_layers["heads"][-1](x)
        outputs = [head(m) for head, m in zip(self.seg_layers["heads"], maps, strict=True)][::-1]
        if fuse is not None:
            outputs[0] = fuse(outputs)
        return outputs if self.deep_supervision else outputs[0]
