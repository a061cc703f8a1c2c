"""EASUNet: the network of Bi et al. (2023), for 2-D and 3-D and for any plan of nnU-Net."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from dynamic_network_architectures.architectures.abstract_arch import AbstractDynamicNetworkArchitectures
from torch import nn
from torch.nn.modules.conv import _ConvTransposeNd
from torch.nn.modules.dropout import _DropoutNd

from nnunet_eas.network.blocks import ConvNormNonlin, DepthwiseSeparableConv, separable_block
from nnunet_eas.network.decoder import EASDecoder
from nnunet_eas.network.eas_module import EASModule
from nnunet_eas.network.encoder import EASEncoder

ARCH_FORMAT = 2
"""Version of the constructor's arguments. It grows when a recorded argument would build another network than before."""

INITIAL_SCALE = 0.5
"""Scale of the first weights, relative to PyTorch's own initialisation. Chosen by measurement: compared with PyTorch's
and He's initialisation in `benchmarks/results/hippocampus_equal_iterations.json` and `hippocampus_initialisation.json`.
"""


class EASUNet(AbstractDynamicNetworkArchitectures):
    """U-Net of depthwise separable blocks with an EAS module at the encoder's end and fused multi-scale outputs.

    Source: Bi M., Hua Y., Guo Z. (2023), Research on MR Image Segmentation of Knee Cartilage Based on Deep Learning.
    Arguments that dynamic-network-architectures' `PlainConvUNet` has are named as there and mean the same.

    Reads the paper as, or differs from it in (each is an argument):
        stem: The very first convolution is full: on one input channel a depthwise one would be a single filter, and
            all channels of the first stage copies of one filtered image. "separable" is the literal reading.
        dilated_block: The pyramid's dilated convolutions are separable, as in DeepLabV3+, which the paper builds on.
        dilations: The plan records them, in proportion to the map (`nnunet_eas.plans.translation.dilation_rates`).
            That rule gives DeepLab's (6, 12, 18) for the paper's 24x24 map. Without the argument: 1, 2, 3.
        norm_op: The paper's batch norm, in 3-D too. 3-D plans of arch format 1 record instance norm.
        shortcut: Blocks that keep the number of channels have a shortcut (ResNet, He et al. 2016). The paper's have
            none.
        eas_first_scale: The EAS module is added to its input, scaled (LayerScale, Touvron et al. 2021): where it does
            not help, on a small map, it begins near nothing. In the paper it stands in place of its input.
            The last three together: 77.1 % Dice in place of 72.1 after 400 iterations in 3-D (five folds, one seed);
            after 3000, in fold 0 and without mirroring, 85.0 and 85.4 (two seeds) in place of 84.5 (one).
            docs/benchmarks/network.md has what else was tried.
        block, pool: A full block, and a strided convolution instead of max pooling, are for the ablation. A full block
            ends with `pointwise_nonlin`, like the separable block that it replaces.

    The weights are laid out channels-last and the input is converted to it, because depthwise convolution is bound by
    memory traffic.

    Args:
        input_channels: Channels of the image.
        n_stages: Number of resolutions of the encoder, at least 2.
        features_per_stage: Channels, one int for all stages or one per stage.
        conv_op: nn.Conv2d or nn.Conv3d.
        kernel_sizes: One int, or per stage an int or one int per axis; odd.
        strides: One int, or per stage an int or one int per axis; 1 in the first stage.
        n_conv_per_stage: Blocks per encoder stage, one int or one per stage.
        num_classes: Output channels.
        n_conv_per_stage_decoder: Blocks per decoder stage, lowest resolution first, one int or one per stage.
        conv_bias: Bias of the convolutions that no norm follows.
        norm_op: Norm class, None for no norm.
        norm_op_kwargs: Its keyword arguments, None for its defaults.
        dropout_op: Dropout class after every block's last convolution, None for none.
        dropout_op_kwargs: Its keyword arguments.
        nonlin: Activation after the depthwise step, None for none.
        nonlin_kwargs: Its keyword arguments.
        deep_supervision: Whether to return all outputs instead of the prediction alone.
        nonlin_first: Whether the activation comes before the norm.
        pointwise_nonlin: Activation after the pointwise step and in the EAS module.
        pointwise_nonlin_kwargs: Its keyword arguments.
        stem: "full" or "separable".
        block: "separable" or "full".
        pool: "max" for max pooling, "conv" for a strided first block.
        eas_module: Whether the EAS module stands at the encoder's end.
        dilated_block: "separable" or "full".
        dilations: The EAS module's rates: per branch one int or one int per axis. None: 1, 2, 3.
        output_fusion: Whether the prediction is fused from all heads.
        shortcut: Whether separable blocks with as many channels out as in are `ResidualSeparableConv`.
        eas_first_scale: `EASModule`'s `first_scale`; None: the module is not added to its input.
        initial_scale: Scale of the first weights, see `draw_weights`.
        arch_format: The `ARCH_FORMAT` of the version that recorded these arguments.
        **unknown: Must be empty; it catches the arguments of a later format, so that the error can name the reason.

    Shape:
        (B, input_channels, *spatial) -> (B, num_classes, *spatial), every edge divisible by the product of its
        strides; with deep supervision a list of n_stages - 1 outputs: the prediction, the head at 1/2, at 1/4, ...

    Raises:
        ValueError: An argument breaks one of the rules above, or `arch_format` is newer than this version knows.
        TypeError: An unknown argument.
    """

    def __init__(
        self,
        input_channels: int,
        n_stages: int,
        features_per_stage: int | Sequence[int],
        conv_op: type[nn.Conv2d] | type[nn.Conv3d],
        kernel_sizes: int | Sequence[int | Sequence[int]],
        strides: int | Sequence[int | Sequence[int]],
        n_conv_per_stage: int | Sequence[int],
        num_classes: int,
        n_conv_per_stage_decoder: int | Sequence[int],
        conv_bias: bool = False,
        norm_op: type[nn.Module] | None = None,
        norm_op_kwargs: dict[str, Any] | None = None,
        dropout_op: type[_DropoutNd] | None = None,
        dropout_op_kwargs: dict[str, Any] | None = None,
        nonlin: type[nn.Module] | None = None,
        nonlin_kwargs: dict[str, Any] | None = None,
        deep_supervision: bool = False,
        nonlin_first: bool = False,
        pointwise_nonlin: type[nn.Module] = nn.Hardswish,
        pointwise_nonlin_kwargs: dict[str, Any] | None = None,
        stem: Literal["full", "separable"] = "full",
        block: Literal["separable", "full"] = "separable",
        pool: Literal["max", "conv"] = "max",
        eas_module: bool = True,
        dilated_block: Literal["separable", "full"] = "separable",
        dilations: Sequence[int | Sequence[int]] | None = None,
        output_fusion: bool = True,
        shortcut: bool = False,
        eas_first_scale: float | None = None,
        initial_scale: float = INITIAL_SCALE,
        arch_format: int = ARCH_FORMAT,
        **unknown: Any,
    ) -> None:
        if arch_format > ARCH_FORMAT:
            raise ValueError(
                f"arch_format must be at most {ARCH_FORMAT} for this version of nnunet-eas, got {arch_format}. The "
                "plan or model comes from a later version: run pip install --upgrade nnunet-eas."
            )
        if unknown:
            names = ", ".join(sorted(unknown))
            raise TypeError(f"arch_kwargs must be arguments of EASUNet, got {names}. Remove them from the plan.")
        if not issubclass(conv_op, (nn.Conv2d, nn.Conv3d)):
            raise ValueError(f"conv_op must be nn.Conv2d or nn.Conv3d, got {conv_op}. Change the plan's conv_op.")
        if n_stages < 2:
            raise ValueError(f"n_stages must be at least 2, got {n_stages}. A U-Net needs a stage to skip over.")
        for name, value, allowed in (
            ("stem", stem, ("full", "separable")),
            ("block", block, ("separable", "full")),
            ("pool", pool, ("max", "conv")),
            ("dilated_block", dilated_block, ("separable", "full")),
        ):
            if value not in allowed:
                raise ValueError(f"{name} must be one of {allowed}, got {value!r}. Change the plan's {name}.")
        for name, switch in (("eas_module", eas_module), ("output_fusion", output_fusion), ("shortcut", shortcut)):
            if not isinstance(switch, bool):
                raise ValueError(f"{name} must be true or false, got {switch!r}. Change the plan's {name}.")
        for name, number in (("initial_scale", initial_scale), ("eas_first_scale", eas_first_scale)):
            positive = isinstance(number, (int, float)) and not isinstance(number, bool) and 0 < number < math.inf
            if not positive and not (name == "eas_first_scale" and number is None):
                raise ValueError(f"{name} must be a positive number, got {number!r}. Change the plan's {name}.")
        super().__init__()

        dim = 2 if issubclass(conv_op, nn.Conv2d) else 3
        features = _per_stage("features_per_stage", features_per_stage, n_stages)
        kernels = _per_stage_and_axis("kernel_sizes", kernel_sizes, n_stages, dim)
        self.strides = _per_stage_and_axis("strides", strides, n_stages, dim)
        if any(i != 1 for i in self.strides[0]):
            raise ValueError(
                f"strides must begin with 1, got {self.strides[0]}. The prediction has the input's resolution."
            )

        shared: dict[str, Any] = {"norm_op": norm_op, "norm_op_kwargs": norm_op_kwargs, "conv_bias": conv_bias}
        regular: dict[str, Any] = {
            "nonlin_first": nonlin_first,
            "dropout_op": dropout_op,
            "dropout_op_kwargs": dropout_op_kwargs,
            "nonlin": pointwise_nonlin,
            "nonlin_kwargs": pointwise_nonlin_kwargs,
        }
        separable = {**shared, **regular, "depthwise_nonlin": nonlin, "depthwise_nonlin_kwargs": nonlin_kwargs}
        build: dict[str, Callable[..., nn.Module]] = {
            "full": partial(ConvNormNonlin, conv_op, **shared, **regular),
            "separable": partial(DepthwiseSeparableConv, conv_op, **separable),
            "residual": partial(separable_block, conv_op, **separable),
        }
        bottleneck: nn.Module = nn.Identity()
        if eas_module:
            bottleneck = EASModule(
                conv_op,
                **shared,
                channels=features[-1],
                kernel_size=kernels[-1],
                dilations=(1, 2, 3) if dilations is None else dilations,
                dilated_block=build[dilated_block],
                nonlin=pointwise_nonlin,
                nonlin_kwargs=pointwise_nonlin_kwargs,
                first_scale=eas_first_scale,
            )
        build_block = build["residual" if shortcut and block == "separable" else block]
        self.initial_scale = initial_scale
        self.encoder = EASEncoder(
            conv_op=conv_op,
            input_channels=input_channels,
            features_per_stage=features,
            kernel_sizes=kernels,
            strides=self.strides,
            n_conv_per_stage=_per_stage("n_conv_per_stage", n_conv_per_stage, n_stages),
            stem=build[stem if block == "separable" else "full"],
            block=build_block,
            max_pool=pool == "max",
            bottleneck=bottleneck,
        )
        self.decoder = EASDecoder(
            conv_op=conv_op,
            num_classes=num_classes,
            features_per_stage=features,
            kernel_sizes=kernels,
            strides=self.strides,
            n_conv_per_stage=_per_stage("n_conv_per_stage_decoder", n_conv_per_stage_decoder, n_stages - 1),
            block=build_block,
            conv_bias=conv_bias,
            output_fusion=output_fusion,
            deep_supervision=deep_supervision,
        )
        self.input_channels = input_channels
        self.shape_must_be_divisible_by = tuple(math.prod(s[a] for s in self.strides) for a in range(dim))
        self.memory_format = torch.channels_last if dim == 2 else torch.channels_last_3d
        self.to(memory_format=self.memory_format)

        # dynamic-network-architectures' contract with code that loads parts of a pretrained network
        self.key_to_encoder = "encoder.stages"
        self.key_to_stem = "encoder.stages.0"
        stem_conv = "depthwise.conv" if block == "separable" and stem == "separable" else "conv"
        self.keys_to_in_proj = (f"encoder.stages.0.0.{stem_conv}",)

    def forward(self, x: torch.Tensor) -> torch.Tensor | list[torch.Tensor]:
        shape, divisor = x.shape[2:], self.shape_must_be_divisible_by
        if any(i % d for i, d in zip(shape, divisor, strict=True)):
            padded = tuple(-(-i // d) * d for i, d in zip(shape, divisor, strict=True))
            raise ValueError(
                f"The input's spatial shape must be divisible by {divisor}, got {tuple(shape)}. Pad it to {padded}."
            )
        return self.decoder(self.encoder(x.contiguous(memory_format=self.memory_format)))

    def compute_conv_feature_map_size(self, input_size: Sequence[int]) -> np.int64:
        """Number of elements in all convolutions' outputs for one image, as nnU-Net's planner asks for it.

        Args:
            input_size: Spatial shape in voxels, without batch and channels.

        Raises:
            ValueError: `input_size` has another number of axes than the network.
        """
        if len(input_size) != len(self.shape_must_be_divisible_by):
            raise ValueError(
                f"input_size must have {len(self.shape_must_be_divisible_by)} spatial axes, got {tuple(input_size)}. "
                "Give it without batch and channels."
            )
        total = np.int64(0)

        def count(module: nn.Module, args: Any, output: torch.Tensor) -> None:
            nonlocal total
            total += output.numel()

        convolutions = [m for m in self.modules() if isinstance(m, (nn.Conv2d, nn.Conv3d, _ConvTransposeNd))]
        handles = [m.register_forward_hook(count) for m in convolutions]
        try:  # shapes only: on the meta device nothing is computed and the network's own tensors stay untouched
            state = {k: torch.empty_like(v, device="meta") for k, v in self.state_dict().items()}
            image = torch.empty(1, self.input_channels, *[int(i) for i in input_size], device="meta")
            torch.func.functional_call(self, state, image)
        finally:
            for handle in handles:
                handle.remove()
        return total

    def initialize(self, module: nn.Module) -> None:
        """Draws a module's first weights with `draw_weights`; nnU-Net applies this method to every module."""
        draw_weights(module, self.initial_scale)


def draw_weights(module: nn.Module, scale: float = INITIAL_SCALE) -> None:
    """Draws a convolution's weights uniformly from +-`scale` / sqrt(fan in), in place; leaves other modules alone.

    A scale of 1 is PyTorch's own initialisation; nnU-Net's He initialisation is about as wide as a scale of 2.4. A norm
    follows nearly every convolution, so the scale does not change what the network computes, but how far a step changes
    it: a smaller scale acts like a larger first learning rate.
    """
    if isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Conv3d, _ConvTransposeNd)):
        module.reset_parameters()
        with torch.no_grad():
            module.weight *= scale


def _per_stage(name: str, value: Any, n: int) -> list[Any]:
    values = [value] * n if isinstance(value, int) else list(value)
    if len(values) != n:
        raise ValueError(f"{name} must have {n} entries, got {len(values)}. Match the plan's n_stages.")
    if any(isinstance(v, int) and v < 1 for v in values):
        raise ValueError(f"{name} must be at least 1 in every stage, got {values}. Fix the plan.")
    return values


def _per_stage_and_axis(name: str, value: int | Sequence[int | Sequence[int]], n: int, dim: int) -> list[list[int]]:
    per_axis = [[v] * dim if isinstance(v, int) else list(v) for v in _per_stage(name, value, n)]
    if any(len(v) != dim for v in per_axis):
        raise ValueError(f"{name} must have {dim} axes in every stage, got {per_axis}. Match conv_op's dimension.")
    return per_axis
