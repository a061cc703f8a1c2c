"""Blocks that keep less memory for the backward pass, because they compute cheap maps a second time there.

After a depthwise convolution every map is as large as the input, and PyTorch keeps five of them for each depthwise
separable block. One is enough: the output of the pointwise convolution, before its norm. Computing the rest again costs
a depthwise convolution and passes over maps, which is little beside the pointwise convolution.

A stage therefore hands each block the map before the last norm and activation of the block in front of it, and the
block applies them inside its own autograd function. Hooks on modules inside a block do not fire in training.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from torch.nn.modules.instancenorm import _InstanceNorm
from torch.nn.modules.pooling import _MaxPoolNd

from nnunet_eas.cpu import conv3d, eager, instance_norm
from nnunet_eas.network.blocks import ConvNormNonlin, DepthwiseSeparableConv, Stage, concatenated

Affine = Sequence[Any]
"""Weight and bias of a norm; None for no such parameter."""

Statistics = Sequence[Any]
"""Mean and inverse standard deviation, per channel or per image and channel."""

Gradients = tuple[Any, ...]
"""Tensors, and None where no gradient is asked for."""


class NormNonlin(NamedTuple):
    """The norm and the activation after a convolution."""

    norm: Any
    nonlin: Any


class RecomputingStage(Stage):
    """`Stage` that keeps one map a block in training."""

    def forward(self, *maps: torch.Tensor) -> torch.Tensor:
        if not (self.training and torch.is_grad_enabled() and eager.runs_on(maps[0])):
            return super().forward(*maps)
        due: NormNonlin | None = None  # norm and activation that the maps still lack
        for module in self:
            last = _last_norm_nonlin(module)
            if last is not None:
                maps = (_before_last_norm(module, due, *maps),)
            elif isinstance(module, _MaxPoolNd) and due is None:
                maps = (_MaxPool.apply(concatenated(maps), module),)
            else:
                maps = (module(_apply(due, concatenated(maps))),)
            due = last
        return _apply(due, maps[0])


def _last_norm_nonlin(block: Any) -> NormNonlin | None:
    """Norm and activation at a block's end, or None where the block can't be computed in two parts."""
    if isinstance(block, DepthwiseSeparableConv):
        return _last_norm_nonlin(block.pointwise) if _last_norm_nonlin(block.depthwise) else None
    if not isinstance(block, ConvNormNonlin) or list(dict(block.named_children()))[-2:] != ["norm", "nonlin"]:
        return None
    norm, nonlin = cast(Any, block.norm), block.nonlin
    batch_norm = type(norm) in (nn.BatchNorm2d, nn.BatchNorm3d) and norm.training and norm.momentum is not None
    known_norm = batch_norm or (isinstance(norm, _InstanceNorm) and not norm.track_running_stats)
    known = known_norm and type(nonlin) in (nn.LeakyReLU, nn.ReLU, nn.Hardswish)
    return NormNonlin(norm, nonlin) if known else None


def _before_last_norm(block: Any, due: NormNonlin | None, *maps: torch.Tensor) -> torch.Tensor:
    """A block's output without its last norm and activation, from maps to concatenate that still lack theirs, `due`."""
    if isinstance(block, DepthwiseSeparableConv):
        depthwise, pointwise = block.depthwise, block.pointwise
        of_due = (None, None) if due is None else (due.norm.weight, due.norm.bias)
        between: Any = NormNonlin(depthwise.norm, depthwise.nonlin)
        parameters = (depthwise.conv.weight, between.norm.weight, between.norm.bias, pointwise.conv.weight)
        y = _DepthwiseSeparable.apply((due, depthwise.conv, between, pointwise.conv), *of_due, *parameters, *maps)
        block = pointwise
    else:
        y = block.conv(_apply(due, concatenated(maps)))
    return block.dropout(y) if hasattr(block, "dropout") else y


def _apply(due: NormNonlin | None, x: torch.Tensor) -> torch.Tensor:
    """Norm and activation; only x is kept."""
    return x if due is None else _NormNonlin.apply(x, due, due.norm.weight, due.norm.bias)


class _NormNonlin(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, due: NormNonlin, *affine: Any) -> torch.Tensor:
        y, statistics = _normalise(due.norm, x, affine)
        ctx.save_for_backward(x, *affine, *statistics)
        ctx.due = due
        return _activate(due.nonlin, y)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Any) -> Gradients:
        x, weight, bias, *statistics = ctx.saved_tensors
        of_x, *of_affine = _norm_nonlin_backward(ctx.due, grad, x, (weight, bias), statistics)
        return of_x, None, *of_affine


class _DepthwiseSeparable(torch.autograd.Function):
    """Norm and activation that are due, depthwise convolution, norm, activation, pointwise convolution."""

    @staticmethod
    def forward(ctx: Any, modules: tuple[Any, ...], *parameters_and_maps: Any) -> torch.Tensor:
        due, depthwise, between, pointwise = ctx.modules = modules
        parameters, maps = parameters_and_maps[:6], parameters_and_maps[6:]
        of_due, depthwise_weight, affine, pointwise_weight = _parts(parameters)
        x = concatenated(maps)
        due_statistics: Statistics = (None, None)
        if due is not None:
            x, due_statistics = _normalise(due.norm, x, of_due)
            x = _activate(due.nonlin, x)
        x, statistics = _normalise(between.norm, depthwise._conv_forward(x, depthwise_weight, None), affine)
        ctx.save_for_backward(*parameters, *due_statistics, *statistics, *maps)
        return pointwise._conv_forward(_activate(between.nonlin, x), pointwise_weight, None)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Any) -> Gradients:
        # every map is freed as soon as it has been used: a training step holds most memory here
        due, depthwise, between, pointwise = ctx.modules
        saved = ctx.saved_tensors
        of_due, depthwise_weight, affine, pointwise_weight = _parts(saved)
        due_statistics, statistics, maps = saved[6:8], saved[8:10], saved[10:]
        del saved

        def depthwise_input() -> torch.Tensor:
            x = concatenated(maps)
            return x if due is None else _activate(due.nonlin, _normalise_again(due.norm, x, of_due, due_statistics))

        x = depthwise._conv_forward(depthwise_input(), depthwise_weight, None)
        y = _activate(between.nonlin, _normalise_again(between.norm, x, affine, statistics))
        grad, of_pointwise = conv3d.gradients(pointwise, grad, y, pointwise_weight)
        if isinstance(between.nonlin, nn.Hardswish):
            y = _normalise_again(between.norm, x, affine, statistics)
        grad = _activate_backward(between.nonlin, grad, y)
        del y
        grad, *of_affine = _normalise_backward(between.norm, grad, x, affine, statistics)
        del x
        of_input = due is not None or any(ctx.needs_input_grad[7:])
        grad, of_depthwise = conv3d.gradients(depthwise, grad, depthwise_input(), depthwise_weight, of_input)
        of_due_affine: Sequence[Any] = (None, None)
        if due is not None:
            grad, *of_due_affine = _norm_nonlin_backward(due, grad, concatenated(maps), of_due, due_statistics)
        of_maps = [None] * len(maps) if grad is None else grad.split([x.shape[1] for x in maps], dim=1)
        return None, *of_due_affine, of_depthwise, *of_affine, of_pointwise, *of_maps


def _parts(parameters: Sequence[Any]) -> tuple[Affine, Any, Affine, Any]:
    """Due affine, depthwise weight, affine between the convolutions, pointwise weight."""
    return parameters[:2], parameters[2], parameters[3:5], parameters[5]


class _MaxPool(torch.autograd.Function):
    """Max pooling that keeps its input, which a U-Net keeps anyway, and not the place of each maximum: 8 bytes each."""

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


def _norm_nonlin_backward(
    due: NormNonlin, grad: torch.Tensor, x: torch.Tensor, affine: Affine, statistics: Statistics
) -> Gradients:
    y = _normalise_again(due.norm, x, affine, statistics)
    if not isinstance(due.nonlin, nn.Hardswish):
        y = _activate(due.nonlin, y)
    grad = _activate_backward(due.nonlin, grad, y)
    del y
    return _normalise_backward(due.norm, grad, x, affine, statistics)


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
    """The map that `_normalise` gave, without counting the batch a second time."""
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
    """The activation, in place."""
    if isinstance(nonlin, nn.Hardswish):
        return F.hardswish(x, inplace=True)
    if isinstance(nonlin, nn.LeakyReLU):
        return F.leaky_relu(x, nonlin.negative_slope, inplace=True)
    return F.relu(x, inplace=True)


def _activate_backward(nonlin: Any, grad: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """The gradient, from the activation's input for h-swish and from its output for the others."""
    if isinstance(nonlin, nn.Hardswish):
        return torch.ops.aten.hardswish_backward(grad, x)
    slope = nonlin.negative_slope if isinstance(nonlin, nn.LeakyReLU) else 0.0
    return torch.ops.aten.leaky_relu_backward(grad, x, slope, True)
