"""Activation checkpointing: maps that are computed a second time in the backward pass and not kept for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.modules.pooling import _MaxPoolNd
from torch.utils.checkpoint import checkpoint

from nnunet_eas.network.blocks import Stage, concatenated


def checkpoint_stages(network: nn.Module) -> None:
    """Makes a network's stages keep less for the backward pass, in place, also under autocast and in torch.compile.

    A training step takes longer and holds less memory. Weights, their names and the gradients stay the same. On a CPU
    `nnunet_eas.cpu` recomputes in a faster way.
    """
    for module in network.modules():
        if isinstance(module, Stage):
            module.__class__ = CheckpointedStage


class CheckpointedStage(Stage):
    """`Stage` that in training keeps the maps between its blocks alone."""

    def forward(self, *maps: torch.Tensor) -> torch.Tensor:
        if not (self.training and torch.is_grad_enabled()):
            return super().forward(*maps)
        for part in self._parts():
            maps = (_checkpointed(part, maps),)
        return maps[0]

    def _parts(self) -> list[list[nn.Module]]:
        """The blocks, each with the pooling before it, so that the place of each maximum is not kept."""
        parts: list[list[nn.Module]] = [[]]
        for module in self:
            if parts[-1] and not isinstance(parts[-1][-1], _MaxPoolNd):
                parts.append([])
            parts[-1].append(module)
        return parts


def _checkpointed(part: Sequence[nn.Module], maps: Sequence[torch.Tensor]) -> torch.Tensor:
    within = [module for block in part for module in block.modules()]
    draws = any(isinstance(module, _DropoutNd) and module.training for module in within)
    options: dict[str, Any] = {"use_reentrant": False, "preserve_rng_state": draws}
    if not torch.compiler.is_compiling():  # a compiler has one graph, in which a batch is counted once
        options["context_fn"] = lambda: (nullcontext(), _uncounted(within))
    result: torch.Tensor = checkpoint(_run, part, *maps, **options)
    return result


def _run(part: Sequence[nn.Module], *maps: torch.Tensor) -> torch.Tensor:
    x = concatenated(maps)
    for module in part:
        x = module(x)
    return x


@contextmanager
def _uncounted(modules: Sequence[nn.Module]) -> Iterator[None]:
    """Batch norms whose running statistics are copies meanwhile: a batch is not added to them a second time."""
    norms = [module for module in modules if isinstance(module, _BatchNorm) and module.track_running_stats]
    counted = [dict(norm._buffers) for norm in norms]
    for norm in norms:
        norm._buffers.update({name: value.clone() for name, value in norm._buffers.items() if value is not None})
    try:
        yield
    finally:
        for norm, buffers in zip(norms, counted, strict=True):
            norm._buffers.update(buffers)
