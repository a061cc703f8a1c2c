"""The paper's rivals as nnU-Net trainers: data, augmentation, loss, schedule and prediction are nnU-Net's own.

Each network has one output and so trains without deep supervision. First weights are those of the network's library,
and so are the norms of Attention U-Net and DeepLabV3+. The widths come from the plan, and so do the levels, except
those of U-Net and U-Net++. The extra `rivals` installs MONAI and segmentation-models-pytorch.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from nnunetv2.training.nnUNetTrainer.variants.network_architecture.nnUNetTrainerNoDeepSupervision import (
    nnUNetTrainerNoDeepSupervision,
)
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager
from torch import nn
from torch.nn import functional

from benchmarks.trainers.segnet import SegNet

MONAI_LEVELS = 5
"""Levels of MONAI's U-Net and U-Net++ with any plan, as in the paper's networks."""


class RivalTrainer(nnUNetTrainerNoDeepSupervision):
    """nnU-Net's trainer with one network of one output."""

    @classmethod
    def network(cls, configuration: ConfigurationManager, input_channels: int, num_classes: int) -> nn.Module:
        """The rival for a planned configuration; one tensor (B, C, *spatial) in, one out."""
        raise NotImplementedError

    def set_deep_supervision_enabled(self, enabled: bool) -> None:
        """Does nothing: the networks have no deep supervision."""

    @classmethod
    def build_network_architecture(  # nnU-Net looks at the argument names, and calls the method on the class
        cls,
        plans_manager: PlansManager,
        configuration_manager: ConfigurationManager,
        num_input_channels: int,
        num_output_channels: int,
        enable_deep_supervision: bool = True,
    ) -> nn.Module:
        return cls.network(configuration_manager, num_input_channels, num_output_channels)


class UNetTrainer(RivalTrainer):
    """The paper's plain U-Net: two convolutions a stage, max pooling, transposed convolutions (MONAI's BasicUNet)."""

    @classmethod
    def network(cls, configuration: ConfigurationManager, input_channels: int, num_classes: int) -> nn.Module:
        from monai.networks.nets import BasicUNet

        return BasicUNet(**_of_five_levels(configuration, input_channels, num_classes))


class UNetPlusPlusTrainer(RivalTrainer):
    """U-Net++ (MONAI's BasicUNetPlusPlus).

    Differs in: no deep supervision over its four nested outputs. MONAI also computes the three unused outputs.
    """

    @classmethod
    def network(cls, configuration: ConfigurationManager, input_channels: int, num_classes: int) -> nn.Module:
        from monai.networks.nets import BasicUNetPlusPlus

        return _OnlyOutput(BasicUNetPlusPlus(**_of_five_levels(configuration, input_channels, num_classes)))


class AttentionUNetTrainer(RivalTrainer):
    """Attention U-Net (MONAI's AttentionUnet) with the levels and strides of the plan.

    Differs in: strided convolutions for pooling, and batch norm in 3-D too, because MONAI has no choice of norms there.
    """

    @classmethod
    def network(cls, configuration: ConfigurationManager, input_channels: int, num_classes: int) -> nn.Module:
        from monai.networks.nets import AttentionUnet

        plan = configuration.network_arch_init_kwargs
        return AttentionUnet(
            spatial_dims=len(configuration.patch_size),
            in_channels=input_channels,
            out_channels=num_classes,
            channels=plan["features_per_stage"],
            strides=[_isotropic(stride, "Attention U-Net") for stride in plan["strides"][1:]],
        )


class DeepLabV3PlusTrainer(RivalTrainer):
    """DeepLabV3+ (segmentation-models-pytorch) on a ResNet-34 without pretrained weights; 2-D only."""

    @classmethod
    def network(cls, configuration: ConfigurationManager, input_channels: int, num_classes: int) -> nn.Module:
        from segmentation_models_pytorch import DeepLabV3Plus

        if len(configuration.patch_size) != 2:
            raise ValueError("configuration must be 2d for DeepLabV3+, got a 3-D one. Its library has no 3-D network.")
        network = DeepLabV3Plus("resnet34", encoder_weights=None, in_channels=input_channels, classes=num_classes)
        return _Padded(network, multiple=16)


class SegNetTrainer(RivalTrainer):
    """SegNet with the stages of the plan."""

    @classmethod
    def network(cls, configuration: ConfigurationManager, input_channels: int, num_classes: int) -> nn.Module:
        plan = configuration.network_arch_init_kwargs
        return SegNet(
            input_channels=input_channels,
            num_classes=num_classes,
            features_per_stage=plan["features_per_stage"],
            strides=plan["strides"],
        )


class _OnlyOutput(nn.Module):
    """The first output of a network that returns a list."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.network(x)[0]


class _Padded(nn.Module):
    """A network that takes only multiples of an edge: pads the end of every axis with zeros, and crops the logits."""

    def __init__(self, network: nn.Module, multiple: int) -> None:
        super().__init__()
        self.network = network
        self.multiple = multiple

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        edges = x.shape[2:]
        missing = [-edge % self.multiple for edge in edges]
        padding = [pad for edge in reversed(missing) for pad in (0, edge)]  # last axis first
        logits = self.network(functional.pad(x, padding))
        return logits[(..., *(slice(edge) for edge in edges))]


def _of_five_levels(configuration: ConfigurationManager, input_channels: int, num_classes: int) -> dict:
    """Arguments of MONAI's networks: the plan's widths, with further ones doubled up to nnU-Net's widest."""
    patch = configuration.patch_size
    if min(patch) < 2 ** (MONAI_LEVELS - 1):
        raise ValueError(
            f"patch_size must be at least {2 ** (MONAI_LEVELS - 1)} along each axis for five levels, got "
            f"{list(patch)}. Leave this network out."
        )
    planned = configuration.network_arch_init_kwargs["features_per_stage"][:MONAI_LEVELS]
    most = 512 if len(patch) == 2 else 320  # nnU-Net's widest
    features = [*planned, *(min(planned[-1] * 2**i, most) for i in range(1, MONAI_LEVELS - len(planned) + 1))]
    return {
        "spatial_dims": len(patch),
        "in_channels": input_channels,
        "out_channels": num_classes,
        "features": (*features, features[0]),
        "norm": "batch" if len(patch) == 2 else ("instance", {"affine": True}),  # as in EAS U-Net
    }


def _isotropic(stride: Sequence[int], name: str) -> int:
    if len(set(stride)) != 1:
        raise ValueError(f"strides must be the same along all axes for {name}, got {list(stride)}. Leave it out.")
    return stride[0]
