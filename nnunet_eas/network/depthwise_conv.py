"""A 3-D depthwise convolution whose backward pass is fast on the CPU, and any convolution's gradients."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from nnunet_eas.network import eager_cpu


class DepthwiseConv3d(nn.Conv3d):
    """Depthwise convolution, k x k x k.

    Differs from `nn.Conv3d` in how the gradients are computed, not in what they are. PyTorch's take far longer than the
    forward pass. Here the input's gradient is a forward pass with the kernel turned round, and the weight's is a 2-D
    one for each plane of the kernel, over views: channels-last, a volume is a batch of slices. On other devices, for
    other layouts, and with a stride, PyTorch's own are used.
    """

    def _conv_forward(self, input: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        if not torch.is_grad_enabled() or not self.has_fast_gradients(input):
            return super()._conv_forward(input, weight, bias)
        y = _DepthwiseConv3d.apply(input, weight, self.dilation)
        return y if bias is None else y + bias.reshape(1, -1, 1, 1, 1)

    def has_fast_gradients(self, x: torch.Tensor) -> bool:
        """Whether they are to be had for this input."""
        if not eager_cpu.runs_on(x):
            return False
        same_size = all(
            p == d * (k // 2) for p, d, k in zip(self.padding, self.dilation, self.kernel_size, strict=True)
        )
        return (
            x.ndim == 5
            and x.dtype == self.weight.dtype
            and same_size
            and self.padding_mode == "zeros"
            and set(self.stride) == {1}
            and self.groups == self.in_channels == self.out_channels > 1
            and x.is_contiguous(memory_format=torch.channels_last_3d)
        )


def gradients(
    conv: Any, grad: torch.Tensor, x: torch.Tensor, weight: torch.Tensor, of_input: bool = True
) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    """Of a convolution's input, where it is asked for, and of its weight. The convolution has no bias."""
    if isinstance(conv, DepthwiseConv3d) and conv.has_fast_gradients(x):
        return _gradients(grad, x, weight, conv.dilation, of_input, weight.requires_grad)
    none = [0] * len(conv.stride)
    of_x, of_weight, _ = torch.ops.aten.convolution_backward(
        grad,
        x,
        weight,
        None,
        conv.stride,
        conv.padding,
        conv.dilation,
        False,
        none,
        conv.groups,
        [of_input, weight.requires_grad, False],
    )
    return of_x, of_weight


class _DepthwiseConv3d(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, dilation: tuple[int, ...]) -> torch.Tensor:
        ctx.save_for_backward(x, weight)
        ctx.dilation = dilation
        return _same_size_conv3d(x, weight, dilation)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        return *_gradients(grad, x, weight, ctx.dilation, *ctx.needs_input_grad[:2]), None


def _gradients(
    grad: torch.Tensor,
    x: torch.Tensor,
    weight: torch.Tensor,
    dilation: tuple[int, ...],
    of_input: bool,
    of_weight: bool,
) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    grad = grad.contiguous(memory_format=torch.channels_last_3d)
    return (
        _same_size_conv3d(grad, weight.flip(2, 3, 4), dilation) if of_input else None,
        _weight_gradient(grad, x, weight, dilation) if of_weight else None,
    )


def _same_size_conv3d(x: torch.Tensor, weight: torch.Tensor, dilation: tuple[int, ...]) -> torch.Tensor:
    padding = [d * (k // 2) for d, k in zip(dilation, weight.shape[2:], strict=True)]
    return F.conv3d(x, weight, padding=padding, dilation=dilation, groups=len(weight))


def _weight_gradient(
    grad: torch.Tensor, x: torch.Tensor, weight: torch.Tensor, dilation: tuple[int, ...]
) -> torch.Tensor:
    _, *in_plane = dilation
    padding = [d * (k // 2) for d, k in zip(in_plane, weight.shape[3:], strict=True)]
    depth, found = x.shape[2], torch.zeros_like(weight)
    for plane in range(weight.shape[2]):
        shift = (plane - weight.shape[2] // 2) * dilation[0]
        if abs(shift) >= depth:
            continue  # looks at padding alone
        out = slice(max(0, -shift), depth - max(0, shift))
        into = slice(out.start + shift, out.stop + shift)
        for image, g in zip(x, grad, strict=True):  # (C, D, H, W) -> a batch of D slices, without a copy
            _, of_plane, _ = torch.ops.aten.convolution_backward(
                g[:, out].transpose(0, 1),
                image[:, into].transpose(0, 1),
                weight[:, :, plane],
                None,
                [1, 1],
                padding,
                in_plane,
                False,
                [0, 0],
                len(weight),
                [False, True, False],
            )
            found[:, :, plane] += of_plane
    return found
