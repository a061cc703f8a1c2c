"""Configurations as nnU-Net's planner writes them."""

from typing import Any


def planned_unet(
    patch_size, strides, kernel_sizes=None, features=(4, 8, 12, 16, 16, 16, 16, 16), residual=False
) -> dict[str, Any]:
    """A configuration with a PlainConvUNet, or a ResidualEncoderUNet."""
    n, dim = len(strides), len(patch_size)
    blocks = {"n_blocks_per_stage": [1, 3, 4, 6, 6, 6, 6][:n]} if residual else {"n_conv_per_stage": [2] * n}
    name = "ResidualEncoderUNet" if residual else "PlainConvUNet"
    return {
        "patch_size": list(patch_size),
        "architecture": {
            "network_class_name": f"dynamic_network_architectures.architectures.unet.{name}",
            "arch_kwargs": {
                "n_stages": n,
                "features_per_stage": list(features[:n]),
                "conv_op": f"torch.nn.modules.conv.Conv{dim}d",
                "kernel_sizes": kernel_sizes or [[3] * dim] * n,
                "strides": strides,
                **blocks,
                "n_conv_per_stage_decoder": [1 if residual else 2] * (n - 1),
                "conv_bias": True,
                "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{dim}d",
                "norm_op_kwargs": {"eps": 1e-5, "affine": True},
                "dropout_op": None,
                "dropout_op_kwargs": None,
                "nonlin": "torch.nn.LeakyReLU",
                "nonlin_kwargs": {"inplace": True},
            },
            "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        },
    }
