"""Instance norm that keeps channels-last maps channels-last."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.autograd.function import once_differentiable

from nnunet_eas.cpu import eager


class _KeepsLayout:
    """Instance norm that gives channels-last maps for channels-last maps.

    Differs from PyTorch's class in how the result is computed, not in the result. `F.instance_norm` rearranges its
    input, and its output is always contiguous (pytorch#59168): on a channels-last network a conversion before each norm
    and one after it. A batch norm of each image alone is the same function and keeps the layout. (So does a group norm
    with one channel a group, but on the CPU it computes the variance as the mean square minus the squared mean, in
    single precision, which is wrong in the first digit where the mean is large. The statistics of a batch norm over a
    large volume, one long sum for each channel, are better but not good: see `_statistics`.) PyTorch's own norm is used
    on other devices and for maps that are not channels-last.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not _applies(self, x):
            return super().forward(x)  # type: ignore[misc]
        return _InstanceNorm.apply(x, self.weight, self.bias, self.eps)  # type: ignore[attr-defined]


class ChannelsLastInstanceNorm2d(_KeepsLayout, nn.InstanceNorm2d):
    """For images."""


class ChannelsLastInstanceNorm3d(_KeepsLayout, nn.InstanceNorm3d):
    """For volumes."""


def _applies(norm: Any, x: torch.Tensor) -> bool:
    if not eager.runs_on(x) or norm.track_running_stats:
        return False
    layout = torch.channels_last if isinstance(norm, nn.InstanceNorm2d) else torch.channels_last_3d
    return (
        x.ndim == (4 if isinstance(norm, nn.InstanceNorm2d) else 5)
        and x.shape[1] > 1
        and x.shape[2:].numel() > 1  # PyTorch's error for a map of one voxel
        and x.is_contiguous(memory_format=layout)
        and (norm.weight is None or norm.weight.dtype == x.dtype)
    )


def forward(
    x: torch.Tensor, weight: torch.Tensor | None, bias: torch.Tensor | None, eps: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The normalised map, and mean and inverse standard deviation, (B, C) each."""
    found = [_statistics(image) for image in x.split(1)]
    mean, variance = (torch.stack(of_images) for of_images in zip(*found, strict=True))
    inverse_std = (variance + eps).rsqrt()
    return again(x, weight, bias, mean, inverse_std), mean, inverse_std


def again(
    x: torch.Tensor,
    weight: torch.Tensor | None,
    bias: torch.Tensor | None,
    mean: torch.Tensor,
    inverse_std: torch.Tensor,
) -> torch.Tensor:
    """The normalised map from the mean and inverse standard deviation that `forward` gave."""
    y = torch.empty_like(x)
    for image, out, m, s in zip(x.split(1), y.split(1), mean, inverse_std, strict=True):
        scale = s if weight is None else weight * s
        nothing = image.new_empty(0)
        torch.ops.aten.native_batch_norm.out(
            image, scale, bias, m, torch.ones_like(m), False, 0.0, 0.0, out=out, save_mean=nothing, save_invstd=nothing
        )
    return y


def statistics_of_batch(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and variance per channel over all images, as precise as those of one image."""
    means, variances = (torch.stack(of_images) for of_images in zip(*map(_statistics, x.split(1)), strict=True))
    return means.mean(0), variances.mean(0) + means.var(0, unbiased=False)


def _statistics(image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and variance per channel, from those of each column of voxels: sums short enough for single precision.

    Args:
        image: (1, C, *spatial), channels-last.
    """
    channels, width = image.shape[1], image.shape[-1]
    # in memory (*spatial, C): the last spatial axis and the channels together as many channels
    rows = image.movedim(1, -1).reshape(1, -1, image.shape[-2], width * channels)
    means, variances = torch.batch_norm_update_stats(rows.permute(0, 3, 1, 2), None, None, 0.0)
    means, variances = means.view(width, channels), variances.view(width, channels)
    return means.mean(0), variances.mean(0) + means.var(0, unbiased=False)


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
