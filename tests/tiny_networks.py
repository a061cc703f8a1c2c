"""Small EAS U-Nets whose axes, channels and strides all differ."""

from typing import Any

import torch
from torch import nn

from nnunet_eas.network.eas_unet import EASUNet

SHAPES = {2: (8, 12), 3: (4, 8, 12)}
NORMS = {
    (2, "batch"): nn.BatchNorm2d,
    (3, "batch"): nn.BatchNorm3d,
    (2, "instance"): nn.InstanceNorm2d,
    (3, "instance"): nn.InstanceNorm3d,
}
KWARGS: dict[str, Any] = {
    "input_channels": 2,
    "n_stages": 3,
    "features_per_stage": [4, 6, 8],
    "n_conv_per_stage": [2, 1, 2],
    "num_classes": 3,
    "n_conv_per_stage_decoder": [1, 2],
    "conv_bias": True,
    "norm_op_kwargs": {"eps": 1e-5, "affine": True},
    "nonlin": nn.LeakyReLU,
    "nonlin_kwargs": {"inplace": True},
    "deep_supervision": True,
}
PER_DIM: dict[int, dict[str, Any]] = {
    2: {
        "conv_op": nn.Conv2d,
        "kernel_sizes": [[3, 3]] * 3,
        "strides": [[1, 1], [2, 2], [1, 2]],
        "dilations": [[1, 2], [2, 1]],
    },
    3: {
        "conv_op": nn.Conv3d,
        "kernel_sizes": [[1, 3, 3], [3, 3, 3], [3, 3, 3]],
        "strides": [[1, 1, 1], [1, 2, 2], [2, 2, 1]],
        "dilations": [[1, 1, 2], [1, 2, 1]],
    },
}


def build(dim: int, norm: str | None = "batch", **changes: Any) -> EASUNet:
    """A network for maps of SHAPES[dim], float32, in training mode; its norms' weights are random."""
    norm_op = None if norm is None else NORMS[dim, norm]
    network = EASUNet(**{**KWARGS, **PER_DIM[dim], "norm_op": norm_op, **changes})
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, tuple(NORMS.values())) and module.weight is not None:
                module.weight.uniform_(0.5, 2.0)
                module.bias.normal_()
            if getattr(module, "running_mean", None) is not None:
                module.running_mean.normal_()
                module.running_var.uniform_(0.5, 2.0)
    return network


def batch(dim: int, images: int = 2, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Random images, channels-last."""
    x = torch.randn(images, KWARGS["input_channels"], *SHAPES[dim], dtype=dtype)
    return x.to(memory_format=torch.channels_last if dim == 2 else torch.channels_last_3d)
