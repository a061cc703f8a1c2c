"""3-D depthwise convolutions by kernels of our own, on CUDA."""

from __future__ import annotations

import importlib.util
import os
import warnings
from functools import cache
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from nnunet_eas.cpu.conv3d import DepthwiseConv3d, is_depthwise

VARIABLE = "NNUNET_EAS_DEPTHWISE"
"""Environment variable that names who computes 3-D depthwise convolutions on CUDA, one of `WHO`; without it triton."""

WHO = ("triton", "pytorch")


def use_depthwise_kernels(network: nn.Module) -> None:
    """Gives a network's 3-D depthwise convolutions the kernels of `depthwise_operators`, in place.

    Weights, their names and the results stay the same. The kernels take contiguous maps on CUDA; others are computed as
    before. Without Triton, which PyTorch brings on Linux, nothing changes, nor, with a warning, where it cannot start a
    kernel.

    Raises:
        ValueError: NNUNET_EAS_DEPTHWISE is not one of `WHO`.
    """
    who = os.environ.get(VARIABLE) or WHO[0]
    if who not in WHO:
        raise ValueError(f"{VARIABLE} must be one of {', '.join(WHO)}, got {who}. Unset it.")
    found = [m for m in network.modules() if type(m) in (nn.Conv3d, DepthwiseConv3d) and is_depthwise(m)]
    if who == "pytorch" or not found or importlib.util.find_spec("triton") is None:
        return
    if fault := fault_of_kernels():
        message = f"PyTorch computes 3-D depthwise convolutions, more slowly, as Triton starts no kernels here: {fault}"
        warnings.warn(message, stacklevel=2)
        return
    for module in found:
        module.__class__ = CudaDepthwiseConv3d


@cache
def fault_of_kernels() -> str | None:
    """Why the kernels don't run on this machine's GPU: no C compiler, no place for Triton's files, an old GPU."""
    if not torch.cuda.is_available():
        return None
    try:
        _try_a_kernel()
    except Exception as error:  # Triton's, the compiler's and the driver's are of many types
        return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
    return None


def _try_a_kernel() -> None:
    from nnunet_eas.gpu.depthwise_operators import convolve

    voxel = torch.zeros(1, 1, 1, 1, 1, device="cuda")
    convolve(voxel, voxel, (1, 1, 1))
    torch.cuda.synchronize()


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
    return x.is_cuda and x.dtype in (torch.float16, torch.bfloat16, torch.float32) and x.is_contiguous()


def _by_kernels(conv: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    from nnunet_eas.gpu.depthwise_operators import depthwise_conv3d  # needs Triton

    y = depthwise_conv3d(x, weight, conv.dilation)
    return y if bias is None else y + bias.to(y.dtype).reshape(1, -1, 1, 1, 1)
