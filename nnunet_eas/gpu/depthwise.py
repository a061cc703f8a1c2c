"""3-D depthwise convolutions by kernels of our own, on CUDA."""

from __future__ import annotations

import importlib.util
import os
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from nnunet_eas.cpu.conv3d import DepthwiseConv3d, is_depthwise

VARIABLE = "NNUNET_EAS_DEPTHWISE"
"""Environment variable: what computes 3-D depthwise convolutions on CUDA, one of `CHOICES`; triton if it is not set."""

CHOICES = ("triton", "pytorch")


def use_depthwise_kernels(network: nn.Module) -> None:
    """Gives a network's 3-D depthwise convolutions the kernels of `depthwise_operators`, in place.

    Weights, their names and the results stay the same. The kernels take contiguous maps on CUDA; others are computed as
    before. Without Triton, which PyTorch brings on Linux, and before PyTorch 2.4 nothing changes.

    Raises:
        ValueError: NNUNET_EAS_DEPTHWISE is not one of `CHOICES`.
    """
    choice = os.environ.get(VARIABLE) or CHOICES[0]
    if choice not in CHOICES:
        raise ValueError(f"{VARIABLE} must be one of {', '.join(CHOICES)}, got {choice}. Unset it.")
    if choice == "pytorch" or importlib.util.find_spec("triton") is None or not hasattr(torch.library, "custom_op"):
        return
    for module in network.modules():
        if type(module) in (nn.Conv3d, DepthwiseConv3d) and is_depthwise(module):
            module.__class__ = CudaDepthwiseConv3d


class CudaDepthwiseConv3d(DepthwiseConv3d):
    """Depthwise convolution, k x k x k, that is fast on CUDA in the contiguous layout, and on the CPU."""

    def _conv_forward(self, input: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        if not has_kernels(input):
            return super()._conv_forward(input, weight, bias)
        return _by_kernels(self, input, weight, bias)


def convolve_channels(conv: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """The depthwise convolution `conv` of some of its channels, to which x, weight and bias belong."""
    if isinstance(conv, CudaDepthwiseConv3d) and has_kernels(x):
        return _by_kernels(conv, x, weight, bias)
    convolution: Any = F.conv2d if x.ndim == 4 else F.conv3d
    result: torch.Tensor = convolution(x, weight, bias, conv.stride, conv.padding, conv.dilation, x.shape[1])
    return result


def has_kernels(x: torch.Tensor) -> bool:
    """Whether the kernels take this map."""
    formats = (torch.float16, torch.bfloat16, torch.float32)
    return x.is_cuda and x.ndim == 5 and x.dtype in formats and x.is_contiguous()


def _by_kernels(conv: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    from nnunet_eas.gpu.depthwise_operators import depthwise_conv3d  # needs Triton

    y = depthwise_conv3d(x, weight, conv.dilation)
    return y if bias is None else y + bias.to(y.dtype).reshape(1, -1, 1, 1, 1)
