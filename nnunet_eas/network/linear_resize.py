"""Bilinear and trilinear resizing as products with interpolation matrices, on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch.nn import functional as F

from nnunet_eas.network import eager_cpu

MODES = {2: "bilinear", 3: "trilinear"}


def add_resized(x: torch.Tensor, maps: Sequence[torch.Tensor]) -> torch.Tensor:
    """Adds every map to x, resized to x's size as `F.interpolate` does without align_corners.

    On the CPU by matrix products: PyTorch's resizing of channels-last maps with few channels is slow there, and slower
    backward. An axis at a time, the last one first, while the maps are small; along the first one all maps at once.

    Shape:
        x (B, C, *spatial), maps (B, C, *spatial_i) -> (B, C, *spatial), in x's memory format
    """
    size = x.shape[2:]
    if maps and _by_products(x):
        stacked = torch.cat([_resized_but_the_first_axis(map_, size) for map_ in maps], dim=2)
        weights = torch.cat([_weights(map_.shape[2], size[0], x.dtype) for map_ in maps], dim=1)
        return x + (weights @ stacked.flatten(3)).reshape(x.shape)
    for map_ in maps:
        x = x + F.interpolate(map_, size=size, mode=MODES[len(size)], align_corners=False)
    return x


def _resized_but_the_first_axis(x: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    x = x.contiguous() @ _weights(x.shape[-1], size[-1], x.dtype).T
    for axis in range(x.ndim - 2, 2, -1):
        weights = _weights(x.shape[axis], size[axis - 2], x.dtype)
        x = (weights @ x.flatten(axis + 1)).reshape(*x.shape[:axis], size[axis - 2], *x.shape[axis + 1 :])
    return x


@lru_cache(maxsize=256)
def _weights(old: int, new: int, dtype: torch.dtype) -> torch.Tensor:
    """Of the old voxels along an axis in each new one: (new, old)."""
    with torch.inference_mode(False), torch.no_grad():
        return F.interpolate(torch.eye(old, dtype=dtype)[None], size=new, mode="linear", align_corners=False)[0].T


def _by_products(x: torch.Tensor) -> bool:
    return (
        eager_cpu.runs_on(x)
        and x.dtype in (torch.float32, torch.float64)  # shorter ones lose digits between the axes
        and not eager_cpu.is_watched()
    )
