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

Affine = Sequence[Any]
"""A norm's weight and bias, None for none."""

Statistics = Sequence[Any]
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
    def forward(ctx: Any, x: torch.Tensor, behind: Behind, *affine: Any) -> torch.Tensor:
        y, statistics = _normalise(behind.norm, x, affine)
        ctx.save_for_backward(x, *affine, *statistics)
        ctx.behind = behind
        return _activate(behind.nonlin, y)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Any) -> Gradients:
        x, weight, bias, *statistics = ctx.saved_tensors
        of_x, *of_affine = _norm_nonlin_backward(ctx.behind, grad, x, (weight, bias), statistics)
        return of_x, None, *of_affine


class _DepthwiseSeparable(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, modules: tuple[Any, ...], *parameters_and_maps: Any) -> torch.Tensor:
        before, depthwise, behind, pointwise = ctx.modules = modules
        parameters, maps = parameters_and_maps[:6], parameters_and_maps[6:]
        due, depthwise_weight, affine, pointwise_weight = parameters[:2], parameters[2], parameters[3:5], parameters[5]
        x = _concatenated(maps)
        of_before: Statistics = (None, None)
        if before is not None:
            x, of_before = _normalise(before.norm, x, due)
            x = _activate(before.nonlin, x)
        x, statistics = _normalise(behind.norm, depthwise._conv_forward(x, depthwise_weight, None), affine)
        ctx.save_for_backward(*parameters, *of_before, *statistics, *maps)
        return pointwise._conv_forward(_activate(behind.nonlin, x), pointwise_weight, None)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Any) -> Gradients:
        # every map is let go as soon as it has been used: this is where a step holds most
        before, depthwise, behind, pointwise = ctx.modules
        saved = ctx.saved_tensors
        due, depthwise_weight, affine, pointwise_weight = saved[:2], saved[2], saved[3:5], saved[5]
        of_before, statistics, maps = saved[6:8], saved[8:10], saved[10:]
        del saved

        def into() -> torch.Tensor:
            x = _concatenated(maps)
            return x if before is None else _activate(before.nonlin, _normalise_again(before.norm, x, due, of_before))

        between = depthwise._conv_forward(into(), depthwise_weight, None)
        out = _activate(behind.nonlin, _normalise_again(behind.norm, between, affine, statistics))
        grad, of_pointwise = depthwise_conv.gradients(pointwise, grad, out, pointwise_weight)
        if isinstance(behind.nonlin, nn.Hardswish):
            out = _normalise_again(behind.norm, between, affine, statistics)
        grad = _activate_backward(behind.nonlin, grad, out)
        del out
        grad, *of_affine = _normalise_backward(behind.norm, grad, between, affine, statistics)
        del between
        of_input = before is not None or any(ctx.needs_input_grad[7:])
        grad, of_depthwise = depthwise_conv.gradients(depthwise, grad, into(), depthwise_weight, of_input)
        of_due: Sequence[Any] = (None, None)
        if before is not None:
            grad, *of_due = _norm_nonlin_backward(before, grad, _concatenated(maps), due, of_before)
        of_maps = [None] * len(maps) if grad is None else grad.split([x.shape[1] for x in maps], dim=1)
        return None, *of_due, of_depthwise, *of_affine, of_pointwise, *of_maps


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


def _norm_nonlin_backward(
    behind: Behind, grad: torch.Tensor, x: torch.Tensor, affine: Affine, statistics: Statistics
) -> Gradients:
    y = _normalise_again(behind.norm, x, affine, statistics)
    if not isinstance(behind.nonlin, nn.Hardswish):
        y = _activate(behind.nonlin, y)
    grad = _activate_backward(behind.nonlin, grad, y)
    del y
    return _normalise_backward(behind.norm, grad, x, affine, statistics)


def _normalise(norm: Any, x: torch.Tensor, affine: Affine) -> tuple[torch.Tensor, Statistics]:
    if x.numel() == x.shape[1] * (len(x) if isinstance(norm, _InstanceNorm) else 1):
        norm(x)  # raises PyTorch's error: one value has no variance
    if isinstance(norm, _InstanceNorm):
        weight, bias = affine
        y, *statistics = instance_norm.forward(x, weight, bias, norm.eps)
        return y, statistics
    if norm.num_batches_tracked is not None:
        norm.num_batches_tracked.add_(1)
    y, *statistics = torch.ops.aten.native_batch_norm(
        x, *affine, norm.running_mean, norm.running_var, True, norm.momentum, norm.eps
    )
    return y, statistics


def _normalise_again(norm: Any, x: torch.Tensor, affine: Affine, statistics: Statistics) -> torch.Tensor:
    """As `_normalise` did, without counting the batch a second time."""
    (weight, bias), (mean, inverse_std) = affine, statistics
    if isinstance(norm, _InstanceNorm):
        return instance_norm.again(x, weight, bias, mean, inverse_std)
    scale = inverse_std if weight is None else weight * inverse_std
    return F.batch_norm(x, mean, torch.ones_like(mean), scale, bias, training=False, eps=0.0)


def _normalise_backward(
    norm: Any, grad: torch.Tensor, x: torch.Tensor, affine: Affine, statistics: Statistics
) -> Gradients:
    weight, _ = affine
    mean, inverse_std = statistics
    if isinstance(norm, _InstanceNorm):
        return instance_norm.backward(grad, x, weight, mean, inverse_std, norm.eps)
    is_affine = weight is not None
    return torch.ops.aten.native_batch_norm_backward(
        grad, x, weight, None, None, mean, inverse_std, True, norm.eps, [True, is_affine, is_affine]
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
