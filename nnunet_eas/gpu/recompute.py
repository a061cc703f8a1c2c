"""Activation checkpointing: maps that are computed a second time in the backward pass and not kept for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import SyncBatchNorm, _BatchNorm, _NormBase
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.modules.instancenorm import _InstanceNorm
from torch.nn.modules.pooling import _MaxPoolNd
from torch.utils.checkpoint import checkpoint

from nnunet_eas.gpu.depthwise import convolve_channels
from nnunet_eas.network.blocks import DepthwiseSeparableConv, ResidualSeparableConv, Stage, concatenated

NORMS = (nn.BatchNorm2d, nn.BatchNorm3d, nn.InstanceNorm2d, nn.InstanceNorm3d)
"""Norms that `_norm` computes, and `nnunet_eas.cpu`'s, which are derived from them; SyncBatchNorm is not."""


def checkpoint_stages(network: nn.Module) -> None:
    """Makes a network's stages keep less for the backward pass, in place, also under autocast and in torch.compile.

    A training step takes longer and holds less memory. Weights, their names and the gradients stay the same. On a CPU
    `nnunet_eas.cpu` recomputes in a faster way.
    """
    for module in network.modules():
        if isinstance(module, Stage):
            module.__class__ = CheckpointedStage


class CheckpointedStage(Stage):
    """`Stage` that in training keeps the maps between its blocks alone.

    A separable block on several maps, the decoder's largest moment, is computed map by map: they are never
    concatenated, and the backward pass has the depthwise maps of one of them at a time. The pointwise convolution is
    then a sum over the maps, which is kept, too.
    """

    def forward(self, *maps: torch.Tensor) -> torch.Tensor:
        if not (self.training and torch.is_grad_enabled()):
            return super().forward(*maps)
        for part in self._parts():
            block = part[0]
            if len(maps) > 1 and isinstance(block, DepthwiseSeparableConv) and _goes_map_by_map(part):
                maps = (_map_by_map(block, maps),)
            else:
                maps = (_checkpointed(partial(_run, part), part, maps),)
        return maps[0]

    def _parts(self) -> list[list[nn.Module]]:
        """The blocks, each with the pooling before it, so that the place of each maximum is not kept."""
        parts: list[list[nn.Module]] = [[]]
        for module in self:
            if parts[-1] and not isinstance(parts[-1][-1], _MaxPoolNd):
                parts.append([])
            parts[-1].append(module)
        return parts


def _goes_map_by_map(part: Sequence[nn.Module]) -> bool:
    """Whether the part is one separable block whose depthwise step treats each channel on its own."""
    (block, *others) = part
    if others or not isinstance(block, DepthwiseSeparableConv) or isinstance(block, ResidualSeparableConv):
        return False
    conv, *after = block.depthwise
    # what is checkpointed must not be overwritten
    overwrites = any(getattr(module, "inplace", False) for module in list(block.pointwise)[1:2])
    return conv.groups == conv.in_channels and all(map(_is_by_channel, after)) and not overwrites


def _is_by_channel(module: nn.Module) -> bool:
    """Whether a module treats each channel on its own, in the state that it is in."""
    if isinstance(module, _NormBase):
        return isinstance(module, NORMS) and module.training and module.momentum is not None
    return next(module.parameters(), None) is None


def _map_by_map(block: DepthwiseSeparableConv, maps: Sequence[torch.Tensor]) -> torch.Tensor:
    """The block on the maps' concatenation."""
    shares = partial(_sum_of_shares, block)
    # a compiler keeps what goes from one checkpoint to the next: the sum, and not the shares
    total = _checkpointed(shares, list(block.depthwise), maps) if torch.compiler.is_compiling() else shares(*maps)
    after = list(block.pointwise)[1:]
    return _checkpointed(partial(_run, after), after, [total])


def _sum_of_shares(block: DepthwiseSeparableConv, *maps: torch.Tensor) -> torch.Tensor:
    total: Any = None
    start = 0
    for x in maps:
        channels = slice(start, start + x.shape[1])
        share = _checkpointed(partial(_share, block, channels), list(block.depthwise), [x])
        total, start = share if total is None else total + share, channels.stop
    result: torch.Tensor = total
    return result


def _share(block: DepthwiseSeparableConv, channels: slice, x: torch.Tensor) -> torch.Tensor:
    """The contribution of some input channels to the pointwise convolution; `x` is the block's input in these."""
    conv: Any
    conv, *after = block.depthwise
    x = convolve_channels(conv, x, conv.weight[channels], None if conv.bias is None else conv.bias[channels])
    for module in after:
        x = _norm(module, channels, x) if isinstance(module, NORMS) else module(x)
    pointwise = block.pointwise.conv
    convolution: Any = F.conv2d if x.ndim == 4 else F.conv3d
    return convolution(x, pointwise.weight[:, channels], pointwise.bias if channels.start == 0 else None)


def _norm(norm: _BatchNorm | _InstanceNorm, channels: slice, x: torch.Tensor) -> torch.Tensor:
    """The norm of some of its channels, in training."""
    weight, bias, mean, variance = (
        None if tensor is None else tensor[channels]
        for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var)
    )
    momentum = norm.momentum or 0.0
    if isinstance(norm, _InstanceNorm):
        return F.instance_norm(x, mean, variance, weight, bias, True, momentum, norm.eps)
    if norm.num_batches_tracked is not None and channels.start == 0:
        norm.num_batches_tracked.add_(1)
    return F.batch_norm(x, mean, variance, weight, bias, True, momentum, norm.eps)


def _checkpointed(
    run: Callable[..., torch.Tensor], modules: Sequence[nn.Module], maps: Sequence[torch.Tensor]
) -> torch.Tensor:
    """The result of `run`, which uses the modules, on the maps."""
    within = [module for outer in modules for module in outer.modules()]
    draws = any(isinstance(module, _DropoutNd) and module.training for module in within)
    if torch.compiler.is_compiling() and not any(map(_breaks_the_graph, within)):
        # one graph, in which a batch is counted once
        result: torch.Tensor = checkpoint(run, *maps, use_reentrant=False, preserve_rng_state=draws)
        return result
    return _checkpointed_eagerly(run, within, maps, draws)


def _breaks_the_graph(module: nn.Module) -> bool:
    """Whether the module is a norm at which torch.compile breaks the graph."""
    return isinstance(module, SyncBatchNorm) or (isinstance(module, _NormBase) and module.momentum is None)


@torch.compiler.disable
def _checkpointed_eagerly(
    run: Callable[..., torch.Tensor], within: Sequence[nn.Module], maps: Sequence[torch.Tensor], draws: bool
) -> torch.Tensor:
    options: dict[str, Any] = {"use_reentrant": False, "preserve_rng_state": draws}
    options["context_fn"] = lambda: (nullcontext(), _uncounted(within))
    result: torch.Tensor = checkpoint(run, *maps, **options)
    return result


def _run(modules: Sequence[nn.Module], *maps: torch.Tensor) -> torch.Tensor:
    x = concatenated(maps)
    for module in modules:
        x = module(x)
    return x


@contextmanager
def _uncounted(modules: Sequence[nn.Module]) -> Iterator[None]:
    """Norms whose running statistics are copies meanwhile: a batch is not added to them a second time."""
    norms = [module for module in modules if isinstance(module, _NormBase) and module.track_running_stats]
    counted = [dict(norm._buffers) for norm in norms]
    for norm in norms:
        norm._buffers.update({name: value.clone() for name, value in norm._buffers.items() if value is not None})
    try:
        yield
    finally:
        for norm, buffers in zip(norms, counted, strict=True):
            norm._buffers.update(buffers)
