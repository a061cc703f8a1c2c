"""A batch norm merged into the convolution in front of it, for prediction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_weights

from nnunet_eas.network import eager_cpu


@dataclass(frozen=True)
class Folded:
    """A convolution and its batch norm as one convolution.

    Attributes:
        weight: Of the one convolution.
        bias: Of the one convolution.
        conv: What it was made of.
        norm: What it was made of.
        sources: Their tensors, each with its version: PyTorch counts a tensor's changes, those by `.data` apart.
    """

    weight: torch.Tensor
    bias: torch.Tensor
    conv: Any
    norm: Any
    sources: tuple[tuple[torch.Tensor, int], ...]

    def applies(self, conv: Any, norm: Any, x: torch.Tensor) -> bool:
        """Whether to use them: without gradients, while they are what the modules hold, and not in an export.

        Runtimes fold by themselves, and name the weights in their graphs as the network does. Hooks of the two modules
        are not called. A compiled network is not watched: call `eval()` after a change.
        """
        if torch.is_grad_enabled() or torch.compiler.is_exporting() or torch.jit.is_tracing():
            return False
        if conv is not self.conv or norm is not self.norm or norm.training:
            return False
        if torch.compiler.is_compiling():
            return True
        now = _sources(conv, norm)
        return (
            x.device == self.weight.device
            and len(now) == len(self.sources)
            and all(a is b and a._version == version for (a, version), b in zip(self.sources, now, strict=True))
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> None:
        """Nothing: a copy's tensors count their changes anew. Its `eval()` folds again."""
        return None

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        """Nothing, as in a copy."""
        return type(None), ()

    def __call__(self, conv: Any, nonlin: nn.Module | None, x: torch.Tensor) -> torch.Tensor:
        """Convolution, norm and activation; on the CPU in one pass over the map."""
        activation = _of_onednn(nonlin)
        if activation is None or not has_onednn(x):
            return _activated(conv._conv_forward(x, self.weight, self.bias), nonlin)
        return _convolution(x, self.weight, self.bias, conv, conv.groups, activation)

    def depthwise(self, conv: Any, nonlin: nn.Module | None, *maps: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The depthwise convolution of maps that belong behind each other, each on its own."""
        channels = [x.shape[1] for x in maps]
        parts = zip(maps, self.weight.split(channels), self.bias.split(channels), strict=True)
        activation = _of_onednn(nonlin)
        if activation is None:
            return tuple(_activated(_convolution(x, w, b, conv, x.shape[1]), nonlin) for x, w, b in parts)
        return tuple(_convolution(x, w, b, conv, x.shape[1], activation) for x, w, b in parts)

    def pointwise(self, conv: Any, nonlin: nn.Module | None, *maps: torch.Tensor) -> torch.Tensor:
        """The 1x1 convolution of maps that belong behind each other: the sum of each one's own."""
        (first, *rest), (weight, *weights) = maps, self.weight.split([x.shape[1] for x in maps], dim=1)
        y = _convolution(first, weight, self.bias, conv, 1)
        geometry = (conv.padding, conv.stride, conv.dilation, 1)
        for x, weight in zip(rest, weights, strict=True):
            torch.ops.mkldnn._convolution_pointwise_(y, x, weight, None, *geometry, "add", 1.0, None, [], None)
        return _activated(y, nonlin)


def fold(conv: Any, norm: Any) -> Folded | None:
    """Merges them; None where the norm is no batch norm with running statistics."""
    if type(norm) not in (nn.BatchNorm2d, nn.BatchNorm3d) or norm.running_mean is None:
        return None
    sources = _sources(conv, norm)
    if any(tensor.is_inference() for tensor in sources):  # have no version
        return None
    weight, bias = fuse_conv_bn_weights(
        conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    )
    return Folded(weight.detach(), bias.detach(), conv, norm, tuple((tensor, tensor._version) for tensor in sources))


def _convolution(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor,
    conv: Any,
    groups: int,
    activation: tuple[str, list[float]] = ("none", []),
) -> torch.Tensor:
    geometry = (conv.padding, conv.stride, conv.dilation, groups)
    return torch.ops.mkldnn._convolution_pointwise(x, weight, bias, *geometry, *activation, "")


def _of_onednn(nonlin: nn.Module | None) -> tuple[str, list[float]] | None:
    """Its name for the activation, and what it needs to know."""
    if nonlin is None:
        return "none", []
    if type(nonlin) is nn.LeakyReLU:
        return "leaky_relu", [nonlin.negative_slope]
    return {nn.Hardswish: ("hardswish", []), nn.ReLU: ("relu", [])}.get(type(nonlin))


def has_onednn(x: torch.Tensor) -> bool:
    """Whether it may compute this: not in a graph that a compiler makes, nor where operations are counted."""
    return (
        eager_cpu.runs_on(x)
        and x.dtype == torch.float32
        and torch.backends.mkldnn.is_available()
        and not eager_cpu.is_watched()
    )


def _activated(x: torch.Tensor, nonlin: nn.Module | None) -> torch.Tensor:
    """The activation, in the place of x where the class can, which nothing else holds."""
    if type(nonlin) is nn.Hardswish:
        return F.hardswish(x, inplace=True)
    if type(nonlin) is nn.LeakyReLU:
        return F.leaky_relu(x, nonlin.negative_slope, inplace=True)
    return x if nonlin is None else nonlin(x)


def _sources(conv: Any, norm: Any) -> list[torch.Tensor]:
    found = (conv.weight, conv.bias, norm.weight, norm.bias, norm.running_mean, norm.running_var)
    return [tensor for tensor in found if tensor is not None]
