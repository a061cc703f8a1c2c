"""Instance norm that leaves channels-last maps channels-last."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.autograd.function import once_differentiable


class _KeepsLayout:
    """Differs from PyTorch's class in the way there, not in the result.

    `F.instance_norm` rearranges its input, and its output is contiguous whatever came in (pytorch#59168): on a
    channels-last network a conversion in front of each norm and one behind it. On the CPU a group norm with one channel
    a group is the same function and keeps the layout; its backward pass is slow, though, where a batch norm's on each
    image alone is not. Elsewhere, and for maps that are not channels-last, PyTorch's own is used.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not _applies(self, x):
            return super().forward(x)  # type: ignore[misc]
        return _InstanceNorm.apply(x, self.weight, self.bias, self.eps)  # type: ignore[attr-defined]


class InstanceNorm2d(_KeepsLayout, nn.InstanceNorm2d):
    """For images."""


class InstanceNorm3d(_KeepsLayout, nn.InstanceNorm3d):
    """For volumes."""


def keeping_layout(norm_op: type[nn.Module] | None) -> type[nn.Module] | None:
    """The class to build where a plan names `norm_op`."""
    kept: dict[Any, type[nn.Module]] = {nn.InstanceNorm2d: InstanceNorm2d, nn.InstanceNorm3d: InstanceNorm3d}
    return kept.get(norm_op, norm_op)


def _applies(norm: Any, x: torch.Tensor) -> bool:
    if torch.compiler.is_compiling() or torch.jit.is_tracing() or x.device.type != "cpu" or norm.track_running_stats:
        return False
    layout = {4: torch.channels_last, 5: torch.channels_last_3d}.get(x.ndim)
    return (
        layout is not None
        and x.shape[1] > 1
        and x.shape[2:].numel() > 1  # the host's error for one voxel
        and x.is_contiguous(memory_format=layout)
        and (norm.weight is None or norm.weight.dtype == x.dtype)
    )


def forward(
    x: torch.Tensor, weight: torch.Tensor | None, bias: torch.Tensor | None, eps: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The normalised map, and mean and inverse standard deviation, (B, C) each."""
    batch, channels = x.shape[:2]
    return torch.ops.aten.native_group_norm(x, weight, bias, batch, channels, x.shape[2:].numel(), channels, eps)


def backward(
    grad: torch.Tensor,
    x: torch.Tensor,
    weight: torch.Tensor | None,
    mean: torch.Tensor,
    inverse_std: torch.Tensor,
    eps: float,
) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
    """The gradients of `forward`'s input, weight and bias."""
    affine = weight is not None
    of_x = torch.empty_like(x)
    of_images = []
    for i in range(len(x)):
        of_image, *of_affine = torch.ops.aten.native_batch_norm_backward(
            grad[i : i + 1],
            x[i : i + 1],
            weight,
            None,
            None,
            mean[i],
            inverse_std[i],
            True,
            eps,
            [True, affine, affine],
        )
        of_x[i : i + 1] = of_image
        of_images.append(of_affine)
    if not affine:
        return of_x, None, None
    of_weight, of_bias = (torch.stack(gradients).sum(0) for gradients in zip(*of_images, strict=True))
    return of_x, of_weight, of_bias


class _InstanceNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, weight: torch.Tensor | None, bias: torch.Tensor | None, eps: float
    ) -> torch.Tensor:
        y, mean, inverse_std = forward(x, weight, bias, eps)
        ctx.save_for_backward(x, weight, mean, inverse_std)
        ctx.eps = eps
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, weight, mean, inverse_std = ctx.saved_tensors
        return *backward(grad, x, weight, mean, inverse_std, ctx.eps), None
