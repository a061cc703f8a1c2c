"""The memory layout of a network's weights and maps on a device."""

from __future__ import annotations

import os

import torch
from torch import nn

from nnunet_eas.network.eas_unet import EASUNet

VARIABLE = "NNUNET_EAS_LAYOUT"
"""Environment variable that names a layout of `LAYOUTS`, for every device; without it the device decides."""

LAYOUTS = ("channels-last", "contiguous")


def lay_out(network: nn.Module, device: torch.device) -> None:
    """Gives an `EASUNet` the layout that is fast on a device, in place, also inside a wrapper; others stay as they are.

    That is channels-last, but contiguous for 3-D on CUDA: depthwise kernels, PyTorch's and ours, need the contiguous
    layout, and instance norms return it. With PyTorch's kernels, a training step of a knee's plan on an H200 took 135
    ms in place of 234, and 9.2 GB in place of 13.6 (`benchmarks/results/gpu_layouts.json`).

    Raises:
        ValueError: NNUNET_EAS_LAYOUT is not one of `LAYOUTS`.
    """
    for module in network.modules():
        if isinstance(module, EASUNet):
            is_3d = len(module.shape_must_be_divisible_by) == 3
            layout = os.environ.get(VARIABLE) or LAYOUTS[is_3d and device.type == "cuda"]
            if layout not in LAYOUTS:
                raise ValueError(f"{VARIABLE} must be one of {', '.join(LAYOUTS)}, got {layout}. Unset it.")
            last = torch.channels_last_3d if is_3d else torch.channels_last
            module.memory_format = torch.contiguous_format if layout == "contiguous" else last
            module.to(memory_format=module.memory_format)
