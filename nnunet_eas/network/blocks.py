"""The convolution blocks of the EAS U-Net.

`DepthwiseSeparableConv` is the basic module of Bi et al. (2023), fig. 2c, built as in MobileNet (Howard et al. 2017):
depthwise k -> norm -> LeakyReLU -> pointwise 1 -> norm -> h-swish.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.modules.dropout import _DropoutNd


class ConvNormNonlin(nn.Sequential):
    """Convolution -> dropout -> norm -> activation.

    Differs from dynamic-network-architectures' ConvDropoutNormReLU: it knows groups and dilation, registers every
    module once, and gives the convolution no bias if the block has a norm.

    Args:
        conv_op: nn.Conv2d or nn.Conv3d.
        input_channels: Channels in.
        output_channels: Channels out.
        kernel_size: Odd edge, one int for all axes or one per axis; the map keeps its size at stride 1.
        stride: One int or one per axis.
        dilation: One int or one per axis.
        groups: As in the convolution; equal to `input_channels` makes it depthwise.
        conv_bias: Bias of the convolution; counts only where `norm_op` is None.
        norm_op: Norm class, None for no norm.
        norm_op_kwargs: Its keyword arguments, None for its defaults.
        dropout_op: Dropout class, None for none.
        dropout_op_kwargs: Its keyword arguments.
        nonlin: Activation class, None for none.
        nonlin_kwargs: Its keyword arguments.
        nonlin_first: Activation before the norm.

    Shape:
        (B, input_channels, *spatial) -> (B, output_channels, *ceil(spatial / stride))

    Raises:
        ValueError: A kernel edge is even, so that no padding keeps the map's size.
    """

    conv: nn.Conv2d | nn.Conv3d

    def __init__(
        self,
        conv_op: type[nn.Conv2d] | type[nn.Conv3d],
        input_channels: int,
        output_channels: int,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
        conv_bias: bool = False,
        norm_op: type[nn.Module] | None = None,
        norm_op_kwargs: dict[str, Any] | None = None,
        dropout_op: type[_DropoutNd] | None = None,
        dropout_op_kwargs: dict[str, Any] | None = None,
        nonlin: type[nn.Module] | None = None,
        nonlin_kwargs: dict[str, Any] | None = None,
        nonlin_first: bool = False,
    ) -> None:
        super().__init__()
        dim = 2 if issubclass(conv_op, nn.Conv2d) else 3
        kernel = [kernel_size] * dim if isinstance(kernel_size, int) else list(kernel_size)
        rate = [dilation] * dim if isinstance(dilation, int) else list(dilation)
        if any(k % 2 == 0 for k in kernel):
            raise ValueError(f"kernel_size must be odd along every axis, got {kernel}. Use 1 or 3.")
        geometry: dict[str, Any] = {
            "kernel_size": tuple(kernel),
            "stride": stride if isinstance(stride, int) else tuple(stride),
            "padding": tuple(r * (k // 2) for r, k in zip(rate, kernel, strict=True)),
            "dilation": tuple(rate),
        }

        self.conv = conv_op(
            input_channels, output_channels, groups=groups, bias=conv_bias and norm_op is None, **geometry
        )
        if dropout_op is not None:
            self.dropout = dropout_op(**(dropout_op_kwargs or {}))
        after: list[tuple[str, nn.Module]] = []
        if norm_op is not None:
            after.append(("norm", norm_op(output_channels, **(norm_op_kwargs or {}))))
        if nonlin is not None:
            after.append(("nonlin", nonlin(**(nonlin_kwargs or {}))))
        for name, module in reversed(after) if nonlin_first else after:
            self.add_module(name, module)


class DepthwiseSeparableConv(nn.Sequential):
    """Depthwise k -> norm -> `depthwise_nonlin` -> pointwise 1 -> dropout -> norm -> `nonlin`.

    The paper's basic module (Bi et al. 2023, fig. 2c): LeakyReLU after the depthwise step, h-swish after the pointwise
    step.

    Args:
        conv_op: nn.Conv2d or nn.Conv3d.
        input_channels: Channels in.
        output_channels: Channels out.
        kernel_size: Odd edge of the depthwise step, one int or one per axis.
        stride: Stride of the depthwise step.
        dilation: Dilation of the depthwise step.
        depthwise_nonlin: Activation class after the depthwise step, None for none.
        depthwise_nonlin_kwargs: Its keyword arguments.
        dropout_op: Dropout class after the pointwise step, None for none.
        dropout_op_kwargs: Its keyword arguments.
        nonlin: Activation class after the pointwise step, None for none.
        nonlin_kwargs: Its keyword arguments.
        **conv_kwargs: `conv_bias`, `norm_op`, `norm_op_kwargs`, `nonlin_first` of both steps, as in `ConvNormNonlin`.

    Shape:
        (B, input_channels, *spatial) -> (B, output_channels, *ceil(spatial / stride))
    """

    depthwise: ConvNormNonlin
    pointwise: ConvNormNonlin

    def __init__(
        self,
        conv_op: type[nn.Conv2d] | type[nn.Conv3d],
        input_channels: int,
        output_channels: int,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        dilation: int | Sequence[int] = 1,
        depthwise_nonlin: type[nn.Module] | None = None,
        depthwise_nonlin_kwargs: dict[str, Any] | None = None,
        dropout_op: type[_DropoutNd] | None = None,
        dropout_op_kwargs: dict[str, Any] | None = None,
        nonlin: type[nn.Module] | None = None,
        nonlin_kwargs: dict[str, Any] | None = None,
        **conv_kwargs: Any,
    ) -> None:
        super().__init__()
        self.depthwise = ConvNormNonlin(
            conv_op,
            input_channels,
            input_channels,
            kernel_size,
            stride=stride,
            dilation=dilation,
            groups=input_channels,
            nonlin=depthwise_nonlin,
            nonlin_kwargs=depthwise_nonlin_kwargs,
            **conv_kwargs,
        )
        self.pointwise = ConvNormNonlin(
            conv_op,
            input_channels,
            output_channels,
            1,
            dropout_op=dropout_op,
            dropout_op_kwargs=dropout_op_kwargs,
            nonlin=nonlin,
            nonlin_kwargs=nonlin_kwargs,
            **conv_kwargs,
        )


class ResidualSeparableConv(DepthwiseSeparableConv):
    """`DepthwiseSeparableConv` with its input added before the last activation.

    Source: the shortcut of ResNet (He et al. 2016). The arguments are those of `DepthwiseSeparableConv`, with as many
    channels out as in and a stride of 1; `nonlin` comes last also with `nonlin_first`.

    Shape:
        (B, channels, *spatial) -> the same

    Raises:
        ValueError: The output has another shape than the input.
    """

    def __init__(
        self,
        *args: Any,
        nonlin: type[nn.Module] | None = None,
        nonlin_kwargs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        channels, stride = (
            (self.depthwise.conv.in_channels, self.pointwise.conv.out_channels),
            self.depthwise.conv.stride,
        )
        if channels[0] != channels[1] or any(i != 1 for i in stride):
            raise ValueError(
                f"output_channels must equal input_channels, and stride be 1, got {channels[1]}, {channels[0]} and "
                f"{stride}. Use DepthwiseSeparableConv there."
            )
        self.nonlin = nn.Identity() if nonlin is None else nonlin(**(nonlin_kwargs or {}))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.nonlin(x + self.pointwise(self.depthwise(x)))


def separable_block(
    conv_op: type[nn.Conv2d] | type[nn.Conv3d],
    input_channels: int,
    output_channels: int,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] = 1,
    **kwargs: Any,
) -> DepthwiseSeparableConv:
    """A `ResidualSeparableConv` where the map keeps shape and channels, and a `DepthwiseSeparableConv` elsewhere."""
    keeps_shape = all(i == 1 for i in ([stride] if isinstance(stride, int) else stride))
    block = ResidualSeparableConv if keeps_shape and input_channels == output_channels else DepthwiseSeparableConv
    return block(conv_op, input_channels, output_channels, kernel_size, stride=stride, **kwargs)


class Stage(nn.Sequential):
    """The blocks of one resolution, with max pooling before them in the encoder.

    In the decoder it takes two maps, of the resolution below and of the skip, and not their concatenation:
    `nnunet_eas.cpu.recompute` then keeps the two, which exist anyway, and concatenates them again when it needs to.

    Shape:
        One map, or several with the same spatial shape, which are concatenated along the channels -> (B, C, *spatial)
    """

    def forward(self, *maps: torch.Tensor) -> torch.Tensor:
        return super().forward(concatenated(maps))


def concatenated(maps: Sequence[torch.Tensor]) -> torch.Tensor:
    """The maps along the channels; one map alone is not copied."""
    return maps[0] if len(maps) == 1 else torch.cat(list(maps), dim=1)
