"""The device to compute on."""

from __future__ import annotations

DEVICES = ("auto", "cuda", "cpu", "mps")


def choose_device(wanted: str, argument: str = "device (-device)") -> str:
    """The device cuda, mps or cpu; "auto" takes the first of these that this machine has.

    Raises:
        ValueError: It is none of `DEVICES`.
        RuntimeError: PyTorch can't use it here.
    """
    if wanted not in DEVICES:
        raise ValueError(f"{argument} must be one of {', '.join(DEVICES)}, got {wanted}. Give auto.")
    if wanted == "cpu":
        return wanted
    import torch

    usable = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted == "auto":
        return next(device for device, is_usable in usable.items() if is_usable)
    if not usable[wanted]:
        raise RuntimeError(
            f"{argument} must be one that this machine has, got {wanted} without a usable GPU. Give cpu or auto."
        )
    return wanted
