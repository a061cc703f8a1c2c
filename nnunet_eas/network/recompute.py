"""Blocks that keep less for the backward pass: what norms, activations and depthwise convolutions give is made again.

Behind a depthwise convolution every map is as large as the input, and PyTorch keeps five of them for each depthwise
separable block. One is enough: what the pointwise convolution gives, before its norm. The rest costs a depthwise
convolution and passes over maps, which is little beside the pointwise convolution.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from torch.nn.modules.instancenorm import _InstanceNorm

from nnunet_eas.network import depthwise_conv, eager_cpu, instance_norm

Statistics = Sequence[torch.Tensor]
"""Mean and inverse standard deviation, per channel or per image and channel."""

Gradients = tuple[Any, ...]
"""Tensors, and None where none is asked for."""


class Behind(NamedTuple):
    """What stands behind a convolution."""

    norm: Any
    nonlin: Any

    def can_be_made_again(self) -> bool:
        """Whether the functions below know both."""
        norm = self.norm
        batch_norm = type(norm) in (nn.BatchNorm2d, nn.BatchNorm3d) and norm.training and norm.momentum is not None
        known_norm = batch_norm or (isinstance(norm, _InstanceNorm) and not norm.track_running_stats)
        return known_norm and type(self.nonlin) in (nn.LeakyReLU, nn.ReLU, nn.Hardswish)


def recomputes(module: nn.Module, x: torch.Tensor) -> bool:
    """Whether a pass keeps less: in training, on the CPU."""
    return module.training and torch.is_grad_enabled() and eager_cpu.runs_on(x)


def norm_nonlin(behind: Behind, x: torch.Tensor) -> torch.Tensor:
    """Norm and activation; only x is kept."""
    return _NormNonlin.apply(x, behind, behind.norm.weight, behind.norm.bias)


def depthwise_separable(
    before: Behind | None, depthwise: Any, behind: Behind, pointwise: Any, *maps: torch.Tensor
) -> torch.Tensor:
    """Depthwise convolution, norm, activation, pointwise convolution; only the maps are kept.

    Args:
        before: Norm and activation that are still due on the maps, None for none.
        depthwise: The convolution, without bias.
        behind: What stands between the two.
        pointwise: The convolution, without bias.
        *maps: (B, C_i, *spatial) each; concatenated first.
    """
    due = (None, None) if before is None else (before.norm.weight, before.norm.bias)
    parameters = (*due, depthwise.weight, behind.norm.weight, behind.norm.bias, pointwise.weight)
    return _DepthwiseSeparable.apply((before, depthwise, behind, pointwise), *parameters, *maps)


def max_pool(pool: Any, x: torch.Tensor) -> torch.Tensor:
    """Only x is kept, which a U-Net keeps anyway, and not where each maximum was: 8 bytes for each."""
    return _MaxPool.apply(x, pool)


class _NormNonlin(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, behind: Behind, *parameters: torch.Tensor | None) -> torch.Tensor:
        y, statistics = _normalise(behind.norm, x)
        ctx.save_for_backward(x, *statistics)
        ctx.behind = behind
        return _activate(behind.nonlin, y)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Any) -> Gradients:
        x, *statistics = ctx.saved_tensors
        of_x, *of_norm = _norm_nonlin_backward(ctx.behind, grad, x, statistics)
        return of_x, None, *of_norm


class _DepthwiseSeparable(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, modules: tuple[Any, ...], *parameters_and_maps: Any) -> torch.Tensor:
        before, depthwise, behind, pointwise = ctx.modules = modules
        maps = parameters_and_maps[6:]
        x = _concatenated(maps)
        statistics: list[torch.Tensor] = []
        if before is not None:
            x, found = _normalise(before.norm, x)
            x = _activate(before.nonlin, x)
            statistics += found
        x, found = _normalise(behind.norm, depthwise(x))
        ctx.save_for_backward(*statistics, *found, *maps)
        return pointwise(_activate(behind.nonlin, x))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Any) -> Gradients:
        # every map is let go as soon as it has been used: this is where a step holds most
        before, depthwise, behind, pointwise = ctx.modules
        *of_before, mean, inverse_std = ctx.saved_tensors[: 2 if before is None else 4]
        maps = ctx.saved_tensors[len(of_before) + 2 :]
        needs_input_grad = ctx.needs_input_grad[7:]

        def into() -> torch.Tensor:
            x = _concatenated(maps)
            return x if before is None else _activate(before.nonlin, _normalise_again(before.norm, x, of_before))

        between = depthwise(into())
        out = _activate(behind.nonlin, _normalise_again(behind.norm, between, (mean, inverse_std)))
        grad, of_pointwise = depthwise_conv.gradients(pointwise, grad, out)
        if isinstance(behind.nonlin, nn.Hardswish):
            out = _normalise_again(behind.norm, between, (mean, inverse_std))
        grad = _activate_backward(behind.nonlin, grad, out)
        del out
        grad, *of_norm = _normalise_backward(behind.norm, grad, between, (mean, inverse_std))
        del between
        grad, of_depthwise = depthwise_conv.gradients(depthwise, grad, into(), any(needs_input_grad) or before)
        of_due: Sequence[Any] = (None, None)
        if before is not None:
            grad, *of_due = _norm_nonlin_backward(before, grad, _concatenated(maps), of_before)
        of_maps = [None] * len(maps) if grad is None else grad.split([x.shape[1] for x in maps], dim=1)
        return None, *of_due, of_depthwise, *of_norm, of_pointwise, *of_maps


class _MaxPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, pool: Any) -> torch.Tensor:
        ctx.save_for_backward(x)
        ctx.pool = pool
        return pool(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Any) -> Gradients:
        (x,) = ctx.saved_tensors
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            y = ctx.pool(x)
        return *torch.autograd.grad(y, x, grad), None


def _concatenated(maps: Sequence[torch.Tensor]) -> torch.Tensor:
    return maps[0] if len(maps) == 1 else torch.cat(list(maps), dim=1)


def _norm_nonlin_backward(behind: Behind, grad: torch.Tensor, x: torch.Tensor, statistics: Statistics) -> Gradients:
    y = _normalise_again(behind.norm, x, statistics)
    if not isinstance(behind.nonlin, nn.Hardswish):
        y = _activate(behind.nonlin, y)
    grad = _activate_backward(behind.nonlin, grad, y)
    del y
    return _normalise_backward(behind.norm, grad, x, statistics)


def _normalise(norm: Any, x: torch.Tensor) -> tuple[torch.Tensor, Statistics]:
    if x.numel() == x.shape[1] * (len(x) if isinstance(norm, _InstanceNorm) else 1):
        norm(x)  # raises PyTorch's error: one value has no variance
    if isinstance(norm, _InstanceNorm):
        y, *statistics = instance_norm.forward(x, norm.weight, norm.bias, norm.eps)
        return y, statistics
    if norm.num_batches_tracked is not None:
        norm.num_batches_tracked.add_(1)
    y, mean, inverse_std = torch.ops.aten.native_batch_norm(
        x, norm.weight, norm.bias, norm.running_mean, norm.running_var, True, norm.momentum, norm.eps
    )
    return y, (mean, inverse_std)


def _normalise_again(norm: Any, x: torch.Tensor, statistics: Statistics) -> torch.Tensor:
    """As `_normalise` did, without counting the batch a second time."""
    mean, inverse_std = statistics
    if isinstance(norm, _InstanceNorm):
        return instance_norm.again(x, norm.weight, norm.bias, mean, inverse_std)
    weight = inverse_std if norm.weight is None else norm.weight * inverse_std
    return F.batch_norm(x, mean, torch.ones_like(mean), weight, norm.bias, training=False, eps=0.0)


def _normalise_backward(norm: Any, grad: torch.Tensor, x: torch.Tensor, statistics: Statistics) -> Gradients:
    if isinstance(norm, _InstanceNorm):
        mean, inverse_std = statistics
        return instance_norm.backward(grad, x, norm.weight, mean, inverse_std, norm.eps)
    affine = norm.weight is not None
    return torch.ops.aten.native_batch_norm_backward(
        grad, x, norm.weight, norm.running_mean, norm.running_var, *statistics, True, norm.eps, [True, affine, affine]
    )


def _activate(nonlin: Any, x: torch.Tensor) -> torch.Tensor:
    """In the place of x."""
    if isinstance(nonlin, nn.Hardswish):
        return F.hardswish(x, inplace=True)
    if isinstance(nonlin, nn.LeakyReLU):
        return F.leaky_relu(x, nonlin.negative_slope, inplace=True)
    return F.relu(x, inplace=True)


def _activate_backward(nonlin: Any, grad: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Of the activation's input for h-swish, of its output for the others."""
    if isinstance(nonlin, nn.Hardswish):
        return torch.ops.aten.hardswish_backward(grad, x)
    slope = nonlin.negative_slope if isinstance(nonlin, nn.LeakyReLU) else 0.0
    return torch.ops.aten.leaky_relu_backward(grad, x, slope, True)
