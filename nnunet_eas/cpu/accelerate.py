"""Puts the fast CPU paths into a network, and takes them out again."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TypeVar

from torch import nn

from nnunet_eas.cpu.conv3d import DepthwiseConv3d, PointwiseConv3d, is_depthwise, is_pointwise
from nnunet_eas.cpu.folded_norm import FoldingConvNormNonlin
from nnunet_eas.cpu.instance_norm import ChannelsLastInstanceNorm2d, ChannelsLastInstanceNorm3d
from nnunet_eas.cpu.recompute import RecomputingStage
from nnunet_eas.cpu.shortcut import InPlaceShortcut
from nnunet_eas.network.blocks import ConvNormNonlin, ResidualSeparableConv, Stage

Network = TypeVar("Network", bound=nn.Module)

PATHS: dict[str, tuple[tuple[type[nn.Module], type[nn.Module], Callable[[nn.Module], bool]], ...]] = {
    "recomputation": ((Stage, RecomputingStage, lambda stage: True),),
    "folded batch norms": ((ConvNormNonlin, FoldingConvNormNonlin, lambda block: True),),
    "shortcuts in place": ((ResidualSeparableConv, InPlaceShortcut, lambda block: True),),
    "depthwise gradients": ((nn.Conv3d, DepthwiseConv3d, is_depthwise),),
    "pointwise products": ((nn.Conv3d, PointwiseConv3d, is_pointwise),),
    "channels-last instance norms": (
        (nn.InstanceNorm2d, ChannelsLastInstanceNorm2d, lambda norm: True),
        (nn.InstanceNorm3d, ChannelsLastInstanceNorm3d, lambda norm: True),
    ),
}
"""Every path by its name: plain class, fast class, condition. `benchmarks/speed/cpu_paths.py` measures each."""


def accelerate(network: Network, paths: Collection[str] = tuple(PATHS)) -> Network:
    """Gives the network's modules their fast classes, in place.

    The fast classes compute the same function. They have the same parameters, so that state dicts stay the same, and
    do what the plain classes do on other devices, under autocast, and in a compiler's or an exporter's graph.

    Args:
        network: An `EASUNet`, or any network with its blocks.
        paths: Names from `PATHS`; all of them by default.

    Returns:
        The same network.

    Example:
        >>> import torch
        >>> from nnunet_eas.cpu import accelerate
        >>> from nnunet_eas.network.blocks import DepthwiseSeparableConv, Stage
        >>> network = torch.nn.Sequential(Stage(DepthwiseSeparableConv(torch.nn.Conv3d, 4, 8, 3)))
        >>> accelerate(network) is network
        True
    """
    for module in network.modules():
        for name in paths:
            for plain, fast, applies in PATHS[name]:
                if type(module) is plain and applies(module):
                    module.__class__ = fast
    return network


def restore(network: Network) -> Network:
    """Gives the network's modules their plain classes back, in place.

    Returns:
        The same network.
    """
    plain_of = {fast: plain for classes in PATHS.values() for plain, fast, _ in classes}
    for module in network.modules():
        for fast, plain in plain_of.items():
            if isinstance(module, fast):  # also a class of `nnunet_eas.gpu` that is derived from it
                module.__class__ = plain
    return network
