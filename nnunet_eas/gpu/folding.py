"""Batch norms that become a part of the convolution in front of them, once and for all."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from nnunet_eas.network.blocks import ConvNormNonlin


def fold_batch_norms(network: nn.Module) -> None:
    """Folds every batch norm that directly follows its convolution, in place; the network can only predict then."""
    for block in network.modules():
        norm: Any = getattr(block, "norm", None)
        if not isinstance(block, ConvNormNonlin) or not isinstance(norm, (nn.BatchNorm2d, nn.BatchNorm3d)):
            continue
        after_conv = [name for name, _ in block.named_children() if name != "dropout"][1:2]
        if after_conv == ["norm"] and norm.running_mean is not None:
            block.conv = fuse_conv_bn_eval(block.conv, norm)
            block.norm = nn.Identity()
