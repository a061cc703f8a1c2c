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
from torch.nn.modules.pooling import _MaxPoolNd

from nnunet_eas.network import recompute
from nnunet_eas.network.depthwise_conv import DepthwiseConv3d
from nnunet_eas.network.folded import Folded, fold, has_onednn
from nnunet_eas.network.instance_norm import keeping_layout
from nnunet_eas.network.recompute import Behind


class ConvNormNonlin(nn.Sequential):
    """Convolution -> dropout -> norm -> activation.

    Differs from dynamic-network-architectures' ConvDropoutNormReLU: it knows groups and dilation, registers every
    module once, and gives the convolution no bias where a norm follows, because the norm would subtract it again.

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
        (B, input_channels, *spatial), or several maps with as many channels together, which belong behind each other
        -> (B, output_channels, *ceil(spatial / stride))

    Raises:
        ValueError: A kernel edge is even, so that no padding keeps the map's size.
    """

    conv: Any
    norm: Any
    dropout: Any
    nonlin: Any

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
        bias = conv_bias and norm_op is None
        depthwise_3d = dim == 3 and groups == input_channels == output_channels > 1
        self.conv = (DepthwiseConv3d if depthwise_3d else conv_op)(
            input_channels, output_channels, groups=groups, bias=bias, **geometry
        )
        if dropout_op is not None:
            self.dropout = dropout_op(**(dropout_op_kwargs or {}))
        norm_op = keeping_layout(norm_op)
        norm = {} if norm_op is None else {"norm": norm_op(output_channels, **(norm_op_kwargs or {}))}
        act = {} if nonlin is None else {"nonlin": nonlin(**(nonlin_kwargs or {}))}
        for name, module in ({**act, **norm} if nonlin_first else {**norm, **act}).items():
            self.add_module(name, module)
        self.norm_first = bool(norm) and not nonlin_first
        self.folded: Folded | None = None
        self.register_load_state_dict_post_hook(_fold_after_loading)

    def forward(self, *maps: torch.Tensor) -> torch.Tensor:
        x = _concatenated(maps)
        folded = self.folded_for(x)
        if folded is not None:
            return folded(self.conv, getattr(self, "nonlin", None), x)
        return self.behind_conv(self.conv(x))

    def folded_for(self, x: torch.Tensor) -> Folded | None:
        """Convolution and norm as one, if they are that in a pass of x."""
        drops = "dropout" in self._modules and self.dropout.training
        applies = self.folded is not None and not drops and self.folded.applies(self.conv, self.norm, x)
        return self.folded if applies else None

    def behind_conv(self, x: torch.Tensor) -> torch.Tensor:
        """What follows the convolution."""
        x = self.dropped(x)
        if self.behind is not None and recompute.recomputes(self, x):
            return recompute.norm_nonlin(self.behind, x)
        for name, module in self.named_children():
            if name in ("norm", "nonlin"):
                x = module(x)
        return x

    def dropped(self, x: torch.Tensor) -> torch.Tensor:
        """Dropout, where there is any."""
        return self.dropout(x) if "dropout" in self._modules else x

    def up_to_norm(self, before: Behind | None, *maps: torch.Tensor) -> torch.Tensor:
        """The output without its norm and activation, of maps to concatenate that still lack theirs, `before`."""
        x = _concatenated(maps)
        return self.dropped(self.conv(x if before is None else recompute.norm_nonlin(before, x)))

    @property
    def behind(self) -> Behind | None:
        """Norm and activation, if they can be made again in the backward pass."""
        if not self.norm_first or "nonlin" not in self._modules:
            return None
        behind = Behind(self.norm, self.nonlin)
        return behind if behind.can_be_made_again() else None

    def train(self, mode: bool = True) -> ConvNormNonlin:
        super().train(mode)
        self.fold()
        return self

    def _apply(self, *args: Any, **kwargs: Any) -> ConvNormNonlin:
        super()._apply(*args, **kwargs)  # to another device, say
        self.fold()
        return self

    def fold(self) -> None:
        """Merges a batch norm into the convolution, for passes without gradients in evaluation mode."""
        self.folded = fold(self.conv, self.norm) if self.norm_first and not self.training else None


def _concatenated(maps: Sequence[torch.Tensor]) -> torch.Tensor:
    return maps[0] if len(maps) == 1 else torch.cat(tuple(maps), dim=1)


def _fold_after_loading(module: ConvNormNonlin, _: Any) -> None:
    module.fold()


class DepthwiseSeparableConv(nn.Sequential):
    """Depthwise k -> norm -> `depthwise_nonlin` -> pointwise 1 -> dropout -> norm -> `nonlin`.

    The paper's basic module (Bi et al. 2023, fig. 2c): LeakyReLU behind the depthwise step, h-swish behind the
    pointwise one.

    Args:
        conv_op: nn.Conv2d or nn.Conv3d.
        input_channels: Channels in.
        output_channels: Channels out.
        kernel_size: The depthwise step's odd edge, one int or one per axis.
        stride: The depthwise step's.
        dilation: The depthwise step's.
        depthwise_nonlin: Activation class behind the depthwise step, None for none.
        depthwise_nonlin_kwargs: Its keyword arguments.
        dropout_op: Dropout class behind the pointwise step, None for none.
        dropout_op_kwargs: Its keyword arguments.
        nonlin: Activation class behind the pointwise step, None for none.
        nonlin_kwargs: Its keyword arguments.
        **conv_kwargs: `conv_bias`, `norm_op`, `norm_op_kwargs`, `nonlin_first`: both steps', as in `ConvNormNonlin`.

    Shape:
        (B, input_channels, *spatial), or several maps with as many channels together, which belong behind each other
        -> (B, output_channels, *ceil(spatial / stride))
    """

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

    def forward(self, *maps: torch.Tensor) -> torch.Tensor:
        if self.behind is not None and recompute.recomputes(self, maps[0]):
            return recompute.norm_nonlin(self.behind, self.up_to_norm(None, *maps))
        if len(maps) > 1 and has_onednn(maps[0]):
            depthwise, pointwise = self.depthwise.folded_for(maps[0]), self.pointwise.folded_for(maps[0])
            if depthwise is not None and pointwise is not None:  # no step of it needs the concatenation
                maps = depthwise.depthwise(self.depthwise.conv, getattr(self.depthwise, "nonlin", None), *maps)
                return pointwise.pointwise(self.pointwise.conv, getattr(self.pointwise, "nonlin", None), *maps)
        return super().forward(_concatenated(maps))

    def up_to_norm(self, before: Behind | None, *maps: torch.Tensor) -> torch.Tensor:
        """The output without its norm and activation, of maps to concatenate that still lack theirs, `before`."""
        behind = self.depthwise.behind
        assert behind is not None
        x = recompute.depthwise_separable(before, self.depthwise.conv, behind, self.pointwise.conv, *maps)
        return self.pointwise.dropped(x)

    @property
    def behind(self) -> Behind | None:
        """The pointwise convolution's norm and activation, if the whole block can be made again."""
        return None if self.depthwise.behind is None else self.pointwise.behind


class Blocks(nn.Sequential):
    """Blocks one behind the other, with or without a max pooling in front.

    In training on the CPU only what a block gives before its norm and activation is kept; see `recompute`.

    Shape:
        One or several maps (B, C_i, *spatial), which are concatenated -> (B, output_channels, *spatial)
    """

    def forward(self, *maps: torch.Tensor) -> torch.Tensor:
        module: Any
        if not recompute.recomputes(self, maps[0]):
            for module in self:
                maps = (module(*maps),)
            return maps[0]
        before: Behind | None = None  # what is still due on the maps
        for module in self:
            behind = getattr(module, "behind", None)
            if behind is not None:
                maps = (module.up_to_norm(before, *maps),)
            elif isinstance(module, _MaxPoolNd) and before is None:
                maps = (recompute.max_pool(module, *maps),)
            else:
                x = _concatenated(maps)
                maps = (module(x if before is None else recompute.norm_nonlin(before, x)),)
            before = behind
        return maps[0] if before is None else recompute.norm_nonlin(before, *maps)
