"""Faster ways of computing the same networks on a CPU."""

from __future__ import annotations

from torch import nn


def accelerate(network: nn.Module) -> nn.Module:
    """The network itself; a placeholder until this room is filled."""
    return network


def restore(network: nn.Module) -> nn.Module:
    """The network itself; a placeholder until this room is filled."""
    return network
