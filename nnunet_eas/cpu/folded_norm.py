"""Batch norms that become a part of the convolution in front of them, for prediction."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_weights

from nnunet_eas.cpu import eager
from nnunet_eas.network.blocks import ConvNormNonlin


class FoldingConvNormNonlin(ConvNormNonlin):
    """`ConvNormNonlin` that saves a pass over the map where nothing is trained.

    The weights are folded in every pass, so that they always belong to the parameters as they are: multiplying the
    weights takes little time beside a pass over a map. Hooks on the convolution and the norm do not fire then.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if torch.is_grad_enabled() or not eager.runs_on(x) or not self._folds():
            return super().forward(x)
        conv, norm = self.conv, cast(Any, self.norm)
        weight, bias = fuse_conv_bn_weights(
            conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
        )
        y = conv._conv_forward(x, weight, bias)
        nonlin = getattr(self, "nonlin", None)
        if nonlin is None:
            return y
        return F.hardswish(y, inplace=True) if type(nonlin) is nn.Hardswish else nonlin(y)

    def _folds(self) -> bool:
        """Whether a batch norm with running statistics follows the convolution, and no dropout between them is on."""
        between_and_after = [name for name, _ in self.named_children() if name != "dropout"][1:2]
        norm: Any = getattr(self, "norm", None)
        return (
            between_and_after == ["norm"]
            and type(norm) in (nn.BatchNorm2d, nn.BatchNorm3d)
            and norm.running_mean is not None
            and not norm.training
            and not (hasattr(self, "dropout") and self.dropout.training)
        )
