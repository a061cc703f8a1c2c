"""Blocks that keep less memory for the backward pass, because they compute cheap maps a second time there.

After a depthwise convolution every map is as large as the input, and PyTorch keeps five of them for each depthwise
separable block. One is enough: the output of the pointwise convolution, before its norm. Computing the rest again costs
a depthwise convolution and passes over maps, which is little beside the pointwise convolution.

A stage therefore hands on maps that still lack the last norm and activation of their block: those are due, and the next
block applies them inside its own autograd function. For two separable blocks A and B:

    x -> A without its last norm and activation -> y, kept          A's last norm and activation are due
    y -> what is due, B without its last ones   -> z, kept          B's last norm and activation are due
    z -> what is due                            -> the stage's output

A block with a shortcut leaves nothing due: it keeps the pointwise convolution's output as well, and computes its input
again to add it.

Hooks on modules inside a block do not fire in training.
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
from nnunet_eas.network.blocks import (
    ConvNormNonlin,
    DepthwiseSeparableConv,
    ResidualSeparableConv,
    Stage,
    concatenated,
)

Affine = Sequence[Any]
"""Weight and bias of a norm; None for no such parameter."""

Statistics = Sequence[Any]
"""Mean and inverse standard deviation, per channel or per image and channel."""

N_PARAMETERS = 8
"""Number of the parameters that `_DepthwiseSeparable` takes before the maps."""


class NormNonlin(NamedTuple):
    """The norm and the activation after a convolution."""

    norm: Any
    nonlin: Any


class RecomputingStage(Stage):
    """`Stage` that keeps one map a block in training, two where the block has a shortcut."""

    def forward(self, *maps: torch.Tensor) -> torch.Tensor:
        if not (self.training and torch.is_grad_enabled() and eager.runs_on(maps[0])):
            return super().forward(*maps)
        due: NormNonlin | None = None  # norm and activation that the maps still lack
        for module in self:
            last = None
            if (after := _after_shortcut(module)) is not None:
                x = _depthwise_separable(cast(ResidualSeparableConv, module), due, after, *maps)
            elif (last := _last_norm_nonlin(module)) is not None:
                x = _before_last_norm(module, due, *maps)
            else:
                x = _apply(due, concatenated(maps))
                x = _MaxPool.apply(x, module) if isinstance(module, _MaxPoolNd) else module(x)
            maps, due = (x,), last
        return _apply(due, maps[0])


def _last_norm_nonlin(block: Any) -> NormNonlin | None:
    """Norm and activation at a block's end, or None where the block can't be computed in two parts."""
    if isinstance(block, DepthwiseSeparableConv):
        return _last_norm_nonlin(block.pointwise) if _last_norm_nonlin(block.depthwise) else None
    if not isinstance(block, ConvNormNonlin) or list(dict(block.named_children()))[-2:] != ["norm", "nonlin"]:
        return None
    return _known(cast(Any, block.norm), block.nonlin)


def _after_shortcut(block: Any) -> NormNonlin | None:
    """Norm before and activation after a shortcut's sum, or None where the block is computed as it stands."""
    if not isinstance(block, ResidualSeparableConv) or _last_norm_nonlin(block.depthwise) is None:
        return None
    pointwise: Any = block.pointwise
    return _known(pointwise.norm, block.nonlin) if list(dict(pointwise.named_children())) == ["conv", "norm"] else None


def _known(norm: Any, nonlin: Any) -> NormNonlin | None:
    """Norm and activation, if the functions below compute them."""
    batch_norm = type(norm) in (nn.BatchNorm2d, nn.BatchNorm3d) and norm.training and norm.momentum is not None
    known_norm = batch_norm or (isinstance(norm, _InstanceNorm) and not norm.track_running_stats)
    # the gradient is computed from the output, which must have the input's sign
    rising = type(nonlin) in (nn.ReLU, nn.Hardswish) or (type(nonlin) is nn.LeakyReLU and nonlin.negative_slope >= 0)
    return NormNonlin(norm, nonlin) if known_norm and rising else None


def _before_last_norm(block: Any, due: NormNonlin | None, *maps: torch.Tensor) -> torch.Tensor:
    """A block's output without its last norm and activation, from maps to concatenate that still lack theirs, `due`."""
    if isinstance(block, DepthwiseSeparableConv):
        y, block = _depthwise_separable(block, due, None, *maps), block.pointwise
    else:
        y = block.conv(_apply(due, concatenated(maps)))
    return block.dropout(y) if hasattr(block, "dropout") else y


def _depthwise_separable(
    block: DepthwiseSeparableConv, due: NormNonlin | None, after: NormNonlin | None, *maps: torch.Tensor
) -> torch.Tensor:
    depthwise, pointwise = block.depthwise, block.pointwise
    between = NormNonlin(depthwise.norm, depthwise.nonlin)
    convolutions = (*_affine(due), depthwise.conv.weight, *_affine(between), pointwise.conv.weight)
    modules = (due, depthwise.conv, between, pointwise.conv, after)
    y: torch.Tensor = _DepthwiseSeparable.apply(modules, *convolutions, *_affine(after), *maps)
    return y


def _affine(norm_nonlin: NormNonlin | None) -> Affine:
    return (None, None) if norm_nonlin is None else (norm_nonlin.norm.weight, norm_nonlin.norm.bias)


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
    def backward(ctx: Any, grad: Any) -> tuple[Any, ...]:
        x, weight, bias, *statistics = ctx.saved_tensors
        grad = _activation_backward(ctx.due, grad, x, (weight, bias), statistics)
        grad_x, *grad_affine = _normalise_backward(ctx.due.norm, grad, x, (weight, bias), statistics)
        return grad_x, None, *grad_affine


class _DepthwiseSeparable(torch.autograd.Function):
    """Norm and activation that are due, depthwise convolution, norm, activation, pointwise convolution.

    With a shortcut, the norm, the sum with the depthwise convolution's input, and the activation too.
    """

    @staticmethod
    def forward(ctx: Any, modules: tuple[Any, ...], *parameters_and_maps: Any) -> torch.Tensor:
        due, depthwise, between, pointwise, after = ctx.modules = modules
        parameters, maps = parameters_and_maps[:N_PARAMETERS], parameters_and_maps[N_PARAMETERS:]
        due_weight, due_bias, depthwise_weight, weight, bias, pointwise_weight, *after_affine = parameters
        x = concatenated(maps)
        due_statistics: Statistics = (None, None)
        if due is not None:
            x, due_statistics = _normalise(due.norm, x, (due_weight, due_bias))
            x = _activate(due.nonlin, x)
        y, statistics = _normalise(between.norm, depthwise._conv_forward(x, depthwise_weight, None), (weight, bias))
        y = pointwise._conv_forward(_activate(between.nonlin, y), pointwise_weight, None)
        of_shortcut: Sequence[Any] = (None, None, None)
        if after is not None:
            of_shortcut = (y,)
            y, after_statistics = _normalise(after.norm, y, after_affine)
            of_shortcut = (*of_shortcut, *after_statistics)
            y = _activate(after.nonlin, y.add_(x))
        ctx.save_for_backward(*parameters, *due_statistics, *statistics, *of_shortcut, *maps)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Any) -> tuple[Any, ...]:
        # every map is freed as soon as it has been used: a training step holds most memory here
        due, depthwise, between, pointwise, after = ctx.modules
        due_weight, due_bias, depthwise_weight, weight, bias, pointwise_weight, *others = ctx.saved_tensors
        due_affine, affine, after_affine = (due_weight, due_bias), (weight, bias), others[:2]
        due_statistics, statistics = others[2:4], others[4:6]
        before_after, *after_statistics = others[6:9]
        maps = others[9:]
        del others

        shortcut: torch.Tensor | None = None  # stays, because it is needed three times

        def depthwise_input() -> torch.Tensor:
            if shortcut is not None:
                return shortcut
            x = concatenated(maps)
            return x if due is None else _again(due, x, due_affine, due_statistics)

        grad_shortcut: Any = None
        grad_after: Sequence[Any] = (None, None)
        if after is not None:
            shortcut = depthwise_input()
            total = _normalise_again(after.norm, before_after, after_affine, after_statistics).add_(shortcut)
            grad_shortcut = _nonlin_backward(after.nonlin, grad, total)
            del total
            grad, *grad_after = _normalise_backward(
                after.norm, grad_shortcut, before_after, after_affine, after_statistics
            )
            del before_after
        x = depthwise._conv_forward(depthwise_input(), depthwise_weight, None)
        y = _again(between, x, affine, statistics)
        grad, grad_pointwise = conv3d.gradients(pointwise, grad, y, pointwise_weight)
        grad = _activation_backward(between, grad, x, affine, statistics, y)
        del y
        grad, *grad_affine = _normalise_backward(between.norm, grad, x, affine, statistics)
        del x
        needs_input_grad = due is not None or any(ctx.needs_input_grad[1 + N_PARAMETERS :])
        x = depthwise_input()
        grad, grad_depthwise = conv3d.gradients(depthwise, grad, x, depthwise_weight, needs_input_grad)
        del x
        shortcut = None
        if grad_shortcut is not None and grad is not None:
            grad = grad_shortcut.add_(grad)
        grad_due: Sequence[Any] = (None, None)
        if due is not None:
            x = concatenated(maps)
            grad = _activation_backward(due, grad, x, due_affine, due_statistics)
            grad, *grad_due = _normalise_backward(due.norm, grad, x, due_affine, due_statistics)
        grad_maps = [None] * len(maps) if grad is None else grad.split([m.shape[1] for m in maps], dim=1)
        return None, *grad_due, grad_depthwise, *grad_affine, grad_pointwise, *grad_after, *grad_maps


class _MaxPool(torch.autograd.Function):
    """Max pooling that keeps its input, which a U-Net keeps anyway, and not the place of each maximum: 8 bytes each."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, pool: Any) -> torch.Tensor:
        ctx.save_for_backward(x)
        ctx.pool = pool
        return pool(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Any) -> tuple[Any, ...]:
        (x,) = ctx.saved_tensors
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            y = ctx.pool(x)
        return *torch.autograd.grad(y, x, grad), None


def _normalise(norm: Any, x: torch.Tensor, affine: Affine) -> tuple[torch.Tensor, Statistics]:
    values = x.numel() // x.shape[1] // (len(x) if isinstance(norm, _InstanceNorm) else 1)
    if values == 1:
        norm(x)  # raises PyTorch's error: one value has no variance
    if isinstance(norm, _InstanceNorm):
        weight, bias = affine
        y, *statistics = instance_norm.forward(x, weight, bias, norm.eps)
        return y, statistics
    mean, variance = instance_norm.statistics_of_batch(x)
    if norm.num_batches_tracked is not None:
        norm.num_batches_tracked.add_(1)
        norm.running_mean.lerp_(mean, norm.momentum)
        norm.running_var.lerp_(variance * (values / (values - 1)), norm.momentum)
    of_batch = (mean, (variance + norm.eps).rsqrt())
    return _normalise_again(norm, x, affine, of_batch), of_batch


def _normalise_again(norm: Any, x: torch.Tensor, affine: Affine, statistics: Statistics) -> torch.Tensor:
    """The map that `_normalise` gave, without counting the batch a second time."""
    (weight, bias), (mean, inverse_std) = affine, statistics
    if isinstance(norm, _InstanceNorm):
        return instance_norm.again(x, weight, bias, mean, inverse_std)
    scale = inverse_std if weight is None else weight * inverse_std
    # with a variance of 1, the whole scale stands in the weight
    return F.batch_norm(x, mean, torch.ones_like(mean), scale, bias, training=False, eps=0.0)


def _normalise_backward(
    norm: Any, grad: torch.Tensor, x: torch.Tensor, affine: Affine, statistics: Statistics
) -> tuple[Any, ...]:
    """Gradients of x, weight and bias."""
    weight, _ = affine
    mean, inverse_std = statistics
    if isinstance(norm, _InstanceNorm):
        return instance_norm.backward(grad, x, weight, mean, inverse_std, norm.eps)
    is_affine = weight is not None
    return torch.ops.aten.native_batch_norm_backward(
        grad, x, weight, None, None, mean, inverse_std, True, norm.eps, [True, is_affine, is_affine]
    )


def _again(due: NormNonlin, x: torch.Tensor, affine: Affine, statistics: Statistics) -> torch.Tensor:
    """Norm and activation a second time."""
    return _activate(due.nonlin, _normalise_again(due.norm, x, affine, statistics))


def _activate(nonlin: Any, x: torch.Tensor) -> torch.Tensor:
    """The activation, in place."""
    if isinstance(nonlin, nn.Hardswish):
        return F.hardswish(x, inplace=True)
    if isinstance(nonlin, nn.LeakyReLU):
        return F.leaky_relu(x, nonlin.negative_slope, inplace=True)
    return F.relu(x, inplace=True)


def _activation_backward(
    due: NormNonlin,
    grad: torch.Tensor,
    x: torch.Tensor,
    affine: Affine,
    statistics: Statistics,
    y: torch.Tensor | None = None,
) -> torch.Tensor:
    """Gradient of the activation's input; `y` is its output, if that is at hand."""
    if isinstance(due.nonlin, nn.Hardswish):  # needs its input, which the output has overwritten
        return _nonlin_backward(due.nonlin, grad, _normalise_again(due.norm, x, affine, statistics))
    # the output has the sign of the input
    return _nonlin_backward(due.nonlin, grad, _again(due, x, affine, statistics) if y is None else y)


def _nonlin_backward(nonlin: Any, grad: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Gradient of the activation's input x."""
    if isinstance(nonlin, nn.Hardswish):
        return torch.ops.aten.hardswish_backward(grad, x)
    slope = nonlin.negative_slope if isinstance(nonlin, nn.LeakyReLU) else 0.0
    return torch.ops.aten.leaky_relu_backward(grad, x, slope, False)
