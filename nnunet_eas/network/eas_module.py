"""The EAS module: an atrous spatial pyramid (DeepLab) with channel attention in front of its 1x1 branch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.modules.instancenorm import _InstanceNorm

from nnunet_eas.network.blocks import ConvNormNonlin
from nnunet_eas.network.eca import ECA


class EASModule(nn.Module):
    """ECA -> 1x1, one dilated k x k per rate and a global-average branch, concatenated and projected by a 1x1.

    Source: Bi et al. (2023), on DeepLab's ASPP (Chen et al. 2017) and ECA (Wang et al. 2020).

    Reads the paper as: every branch is a convolution block of its own, as in DeepLab (1x1 -> norm -> h-swish for the
    ECA branch, `dilated_block` for the dilated ones); the global-average branch has no norm, because a norm over a map
    of one voxel is undefined.

    Differs in how the global-average branch is projected. It is constant over space, so its part of the 1x1 projection
    is computed on one voxel and added by broadcasting. In front of a batch norm that is the literal concatenation. An
    instance norm would subtract it exactly, so with instance norm it is added after the norm.

    Args:
        conv_op: nn.Conv2d or nn.Conv3d.
        channels: Channels in, out and of every branch.
        kernel_size: Of the dilated convolutions, per axis.
        dilations: The rates, one entry per branch: an int or one int per axis.
        dilated_block: Builds a dilated branch: (input_channels, output_channels, kernel_size, dilation=...).
        conv_bias: Bias of the global-average branch's 1x1, which no norm follows.
        norm_op: Norm class, None for no norm.
        norm_op_kwargs: Its keyword arguments.
        nonlin: Activation class of the 1x1 convolutions.
        nonlin_kwargs: Its keyword arguments.
        first_scale: Adds the module's output to its input, times a scale per channel that is learned and begins here
            (LayerScale, Touvron et al. 2021). None: the output alone, as in the paper.

    Shape:
        (B, channels, *spatial) -> the same; a map of one voxel is fine wherever the norm takes it

    Raises:
        ValueError: `dilations` is empty.
    """

    def __init__(
        self,
        conv_op: type[nn.Conv2d] | type[nn.Conv3d],
        channels: int,
        kernel_size: int | Sequence[int],
        dilations: Sequence[int | Sequence[int]],
        dilated_block: Callable[..., nn.Module],
        conv_bias: bool = True,
        norm_op: type[nn.Module] | None = None,
        norm_op_kwargs: dict[str, Any] | None = None,
        nonlin: type[nn.Module] = nn.Hardswish,
        nonlin_kwargs: dict[str, Any] | None = None,
        first_scale: float | None = None,
    ) -> None:
        super().__init__()
        if not dilations:
            raise ValueError("dilations must hold at least one rate, got none. Give e.g. (1, 2, 3).")
        pointwise = ConvNormNonlin(
            conv_op,
            channels,
            channels,
            1,
            norm_op=norm_op,
            norm_op_kwargs=norm_op_kwargs,
            nonlin=nonlin,
            nonlin_kwargs=nonlin_kwargs,
        )
        self.attention = nn.Sequential(ECA(channels), pointwise)
        self.atrous = nn.ModuleList(
            dilated_block(channels, channels, kernel_size, dilation=dilation) for dilation in dilations
        )
        self.pooled = nn.Sequential(conv_op(channels, channels, 1, bias=conv_bias), nonlin(**(nonlin_kwargs or {})))
        # the 1x1 projection of all branches, in two parts: the pooled branch needs one voxel only
        self.project = conv_op((1 + len(dilations)) * channels, channels, 1, bias=False)
        self.project_pooled = conv_op(channels, channels, 1, bias=False)
        self.norm = nn.Identity() if norm_op is None else norm_op(channels, **(norm_op_kwargs or {}))
        self.nonlin = nonlin(**(nonlin_kwargs or {}))
        self.pooled_after_norm = isinstance(self.norm, _InstanceNorm)
        self.scale = None if first_scale is None else nn.Parameter(torch.full((channels,), float(first_scale)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.scale is None:
            return self._pyramid(x)
        return x + self.scale.reshape(-1, *[1] * (x.ndim - 2)) * self._pyramid(x)

    def extra_repr(self) -> str:
        return "" if self.scale is None else "added to its input, scaled"

    def _pyramid(self, x: torch.Tensor) -> torch.Tensor:
        pooled = x.mean(dim=list(range(2, x.ndim)), keepdim=True)
        pooled = self.project_pooled(self.pooled(pooled))
        branches = self.project(torch.cat([self.attention(x), *[branch(x) for branch in self.atrous]], dim=1))
        if self.pooled_after_norm:
            return self.nonlin(self.norm(branches) + pooled)
        return self.nonlin(self.norm(branches + pooled))
