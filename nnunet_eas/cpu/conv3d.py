"""3-D convolutions that are fast on the CPU: depthwise ones in the backward pass, 1x1x1 ones with one thread."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from nnunet_eas.cpu import eager


class DepthwiseConv3d(nn.Conv3d):
    """Depthwise convolution, k x k x k, with fast gradients.

    Differs from `nn.Conv3d` in how the gradients are computed, not in their values. PyTorch's gradients take far
    longer than the forward pass. Here the input's gradient is a forward pass with the mirrored kernel, and the
    weight's gradient is a 2-D one for each plane of the kernel, over views: channels-last, a volume is a batch of
    slices. PyTorch's own gradients are used on other devices, for other layouts, and with a stride.
    """

    def _conv_forward(self, input: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        if not torch.is_grad_enabled() or not has_fast_gradients(self, input):
            return super()._conv_forward(input, weight, bias)
        y = _DepthwiseConv3d.apply(input, weight, self.dilation)
        return y if bias is None else y + bias.reshape(1, -1, 1, 1, 1)


class PointwiseConv3d(nn.Conv3d):
    """1x1x1 convolution as a matrix product over the channels.

    With one thread PyTorch sends `nn.Conv3d` with this kernel to a path that returns contiguous maps, and the whole
    network then loses its channels-last layout.
    """

    def _conv_forward(self, input: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        if not is_product(self, input):
            return super()._conv_forward(input, weight, bias)
        return F.linear(input.movedim(1, -1), weight.flatten(1), bias).movedim(-1, 1)


def is_depthwise(conv: Any) -> bool:
    """Whether `DepthwiseConv3d` may stand for a convolution."""
    same_size = all(p == d * (k // 2) for p, d, k in zip(conv.padding, conv.dilation, conv.kernel_size, strict=True))
    one_channel_each = conv.groups == conv.in_channels == conv.out_channels > 1
    return one_channel_each and same_size and set(conv.stride) == {1} and conv.padding_mode == "zeros"


def is_pointwise(conv: Any) -> bool:
    """Whether `PointwiseConv3d` may stand for a convolution."""
    return set(conv.kernel_size) == set(conv.stride) == {1} and set(conv.padding) == {0} and conv.groups == 1


def has_fast_gradients(conv: nn.Conv3d, x: torch.Tensor) -> bool:
    """Whether the fast gradients apply to this input."""
    return (
        eager.runs_on(x)
        and x.ndim == 5
        and x.dtype == conv.weight.dtype
        and x.is_contiguous(memory_format=torch.channels_last_3d)
    )


def is_product(conv: nn.Conv3d, x: torch.Tensor) -> bool:
    """Whether the matrix product applies to this input."""
    return has_fast_gradients(conv, x) and torch.get_num_threads() == 1


def gradients(
    conv: Any, grad: torch.Tensor, x: torch.Tensor, weight: torch.Tensor, of_input: bool = True
) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    """The gradients of a convolution's input, where `of_input` asks for it, and of its weight; without a bias."""
    if isinstance(conv, DepthwiseConv3d) and has_fast_gradients(conv, x):
        return _gradients(grad, x, weight, conv.dilation, of_input, weight.requires_grad)
    if isinstance(conv, PointwiseConv3d) and is_product(conv, x):
        rows, columns = grad.movedim(1, -1), weight.flatten(1)
        of_x = F.linear(rows, columns.T).movedim(-1, 1) if of_input else None
        of_weight = rows.flatten(0, -2).T @ x.movedim(1, -1).flatten(0, -2) if weight.requires_grad else None
        return of_x, None if of_weight is None else of_weight.reshape(weight.shape)
    no_output_padding = [0] * len(conv.stride)
    of_x, of_weight, _ = torch.ops.aten.convolution_backward(
        grad,
        x,
        weight,
        None,
        conv.stride,
        conv.padding,
        conv.dilation,
        False,
        no_output_padding,
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
            continue  # this plane of the kernel sees padding alone
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
