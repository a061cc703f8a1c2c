"""Tells where the fast CPU paths apply."""

from __future__ import annotations

import torch


def runs_on(x: torch.Tensor) -> bool:
    """Whether PyTorch's CPU operations compute on x one by one: not compiled, traced, counted, or under autocast.

    Compilers and runtimes make their own choices from the plain graph, and `FlopCounterMode` counts it.
    """
    return (
        x.device.type == "cpu"
        and not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()
        and not torch.is_autocast_enabled("cpu")
        and torch._C._len_torch_dispatch_stack() == 0
    )
