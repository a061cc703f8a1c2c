"""Where the demo trains."""

from __future__ import annotations


def choose_device(wish: str) -> str:
    """The device to train on: cpu, cuda or mps.

    Args:
        wish: One of these, or auto for the best that this machine has.

    Raises:
        RuntimeError: Where the machine has none of the kind that was asked for.
    """
    if wish == "cpu":
        return wish
    import torch

    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wish == "auto":
        return next(device for device, usable in available.items() if usable)
    if not available[wish]:
        raise RuntimeError(f"--device must be one that PyTorch can use here, got {wish}. Use --device cpu or auto.")
    return wish
