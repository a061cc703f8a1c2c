"""Observation of a training step on the meta device: what is allocated, and when it is released."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

CONVOLUTIONS = tuple(f"conv{kind}{dim}d" for kind in ("", "_transpose") for dim in (1, 2, 3))


@contextmanager
def autocast(precision: torch.dtype) -> Iterator[None]:
    """Half precision for convolutions, the only products of these networks: torch.autocast knows no meta device.

    It takes the place of PyTorch's functions, because a TorchFunctionMode is put aside in a backward pass, in which
    checkpointing computes again.
    """
    before = {name: getattr(F, name) for name in CONVOLUTIONS}

    def cast(function: Callable[..., torch.Tensor], *args: Any, **kwargs: Any) -> torch.Tensor:
        return function(*[a.to(precision) if isinstance(a, torch.Tensor) else a for a in args], **kwargs)

    for name, function in before.items():
        setattr(F, name, partial(cast, function))
    try:
        yield
    finally:
        for name, function in before.items():
            setattr(F, name, function)


# makers of operations' results, by operation and arguments: much of PyTorch's meta device is slow Python code
_RESULTS: dict[Any, Any] = {}


class Allocations(TorchDispatchMode):
    """The sizes of all storages that operations make, negative at their release, in the order of time."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[int] = []
        self._alive: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        key = func, _hashable(args), _hashable(kwargs)
        if key in _RESULTS:
            result = tree_map_only(partial, lambda make: make(), _RESULTS[key])
        else:
            result = func(*args, **(kwargs or {}))
        tensors = [leaf for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor)]
        are_new = [self.note(tensor) and tensor.is_meta for tensor in tensors]  # neither views nor changed in place
        if key not in _RESULTS and func.namespace == "aten" and all(are_new):
            _RESULTS[key] = tree_map_only(torch.Tensor, _maker, result)
        return result

    def note(self, tensor: torch.Tensor) -> bool:
        """Notes the storage of a tensor; tells whether it is new."""
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._alive:
            return False
        self._alive.add(key)
        self.events.append(storage.nbytes())
        weakref.finalize(storage, self._release, key, storage.nbytes())
        return True

    def _release(self, key: int, size: int) -> None:
        self._alive.remove(key)
        self.events.append(-size)


def _maker(tensor: torch.Tensor) -> partial[torch.Tensor]:
    return partial(torch.empty_strided, tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")


def _hashable(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.shape, value.stride(), value.dtype, value.device
    if isinstance(value, (list, tuple)):
        return tuple(_hashable(item) for item in value)
    if isinstance(value, dict):
        return tuple((name, _hashable(item)) for name, item in value.items())
    return type(value), value  # 1 == 1.0, but they give results of other types
