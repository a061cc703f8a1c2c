"""Shortcuts that are added in place, for prediction."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from nnunet_eas.cpu import eager
from nnunet_eas.network.blocks import ResidualSeparableConv


class InPlaceShortcut(ResidualSeparableConv):
    """`ResidualSeparableConv` that makes no map for the sum and its activation where nothing is trained."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if torch.is_grad_enabled() or not eager.runs_on(x):
            return super().forward(x)
        y = self.pointwise(self.depthwise(x)).add_(x)
        return F.hardswish(y, inplace=True) if type(self.nonlin) is nn.Hardswish else self.nonlin(y)
