"""Batch norms, and activations, that become a part of the convolution in front of them, for prediction."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from nnunet_eas.cpu import eager
from nnunet_eas.network.blocks import ConvNormNonlin


class FoldingConvNormNonlin(ConvNormNonlin):
    """`ConvNormNonlin` that saves two passes over the map where nothing is trained.

    The weights are folded in the first pass after `eval()`, and again after every change of the parameters that PyTorch
    counts (an optimizer's step, a loaded state dict; call `eval()` after a change by `.data`). oneDNN computes the
    activation while it writes the map. Hooks on the convolution and the norm do not fire then.
    """

    _folded: tuple[list[tuple[torch.Tensor, int]], torch.Tensor, torch.Tensor] | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if torch.is_grad_enabled() or not eager.runs_on(x) or not self._folds():
            return super().forward(x)
        weight, bias = self._folded_weights()
        nonlin = getattr(self, "nonlin", None)
        activation = _of_onednn(nonlin)
        if activation is not None and x.dtype == torch.float32 and torch.backends.mkldnn.is_available():
            geometry = (self.conv.padding, self.conv.stride, self.conv.dilation, self.conv.groups)
            return torch.ops.mkldnn._convolution_pointwise(x, weight, bias, *geometry, *activation)
        y = self.conv._conv_forward(x, weight, bias)
        return y if nonlin is None else nonlin(y)

    def train(self, mode: bool = True) -> Any:
        self._folded = None
        return super().train(mode)

    def _apply(self, *arguments: Any, **keywords: Any) -> Any:
        self._folded = None  # another device or type
        return super()._apply(*arguments, **keywords)

    def _folded_weights(self) -> tuple[torch.Tensor, torch.Tensor]:
        conv, norm = self.conv, cast(Any, self.norm)
        tensors = (conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.weight, norm.bias)
        sources = [tensor for tensor in tensors if tensor is not None]
        counted = not any(tensor.is_inference() for tensor in sources)
        now = [(tensor, tensor._version) for tensor in sources] if counted else []
        if self._folded is not None and counted and _are_same(self._folded[0], now):
            return self._folded[1:]
        weight, bias = fuse_conv_bn_weights(
            conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
        )
        self._folded = (now, weight.detach(), bias.detach()) if counted else None
        return weight, bias

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


def _of_onednn(nonlin: nn.Module | None) -> tuple[str, list[float], str] | None:
    """Name, numbers and algorithm of oneDNN's activation."""
    if nonlin is None:
        return "none", [], ""
    if type(nonlin) is nn.LeakyReLU:
        return "leaky_relu", [nonlin.negative_slope], ""
    if type(nonlin) is nn.Hardswish:
        return "hardswish", [], ""
    return ("relu", [], "") if type(nonlin) is nn.ReLU else None


def _are_same(a: list[tuple[torch.Tensor, int]], b: list[tuple[torch.Tensor, int]]) -> bool:
    return len(a) == len(b) and all(s is t and i == j for (s, i), (t, j) in zip(a, b, strict=True))
