"""Where the network goes its own ways on the CPU: the same functions, faster and with less memory."""

from __future__ import annotations

import torch


def runs_on(x: torch.Tensor) -> bool:
    """Whether x is computed on by PyTorch's CPU operations one by one: not compiled, traced, or under autocast.

    Compilers and runtimes make their own choices from the plain graph; on a GPU the plain way is what has been planned
    for, and other ways were not measured there.
    """
    return (
        x.device.type == "cpu"
        and not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()
        and not torch.is_autocast_enabled("cpu")
    )


def is_watched() -> bool:
    """Whether a dispatch mode looks at every operation: `FlopCounterMode`, say, which is to count the plain graph."""
    return torch._C._len_torch_dispatch_stack() > 0
