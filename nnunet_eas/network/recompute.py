"""Blocks whose inner maps are computed a second time in the backward pass and not kept for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.modules.pooling import _MaxPoolNd
from torch.utils.checkpoint import checkpoint

Part = Sequence[nn.Module]
"""Modules that run one after the other, of which only the input is kept."""


def concatenated(maps: Sequence[torch.Tensor]) -> torch.Tensor:
    """The maps along the channels; one map alone is not copied."""
    return maps[0] if len(maps) == 1 else torch.cat(list(maps), dim=1)


def recomputed(modules: Iterable[nn.Module], maps: Sequence[torch.Tensor]) -> torch.Tensor:
    """What the modules give, one after the other, for the concatenated maps; only the maps between blocks are kept.

    Pooling is a part of the block after it, so that the place of each maximum is not kept, and concatenation a part of
    the first block.
    """
    for part in _parts(modules):
        maps = (_checkpointed(part, maps),)
    return maps[0]


def _parts(modules: Iterable[nn.Module]) -> Sequence[Part]:
    parts: list[list[nn.Module]] = [[]]
    for module in modules:
        if parts[-1] and not isinstance(parts[-1][-1], _MaxPoolNd):
            parts.append([])
        parts[-1].append(module)
    return parts


def _checkpointed(part: Part, maps: Sequence[torch.Tensor]) -> torch.Tensor:
    within = [module for block in part for module in block.modules()]
    draws = any(isinstance(module, _DropoutNd) and module.training for module in within)
    options: dict[str, Any] = {"use_reentrant": False, "preserve_rng_state": draws}
    if not torch.compiler.is_compiling():  # a compiler has one graph, in which a batch is counted once
        options["context_fn"] = lambda: (nullcontext(), _uncounted(within))
    result: torch.Tensor = checkpoint(_run, part, *maps, **options)
    return result


def _run(part: Part, *maps: torch.Tensor) -> torch.Tensor:
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
