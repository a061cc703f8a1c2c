import pytest
import torch
from torch import nn
from torch.nn import functional as F

from nnunet_eas.network.blocks import ConvNormNonlin, DepthwiseSeparableConv, ResidualSeparableConv

SHAPES = [
    (nn.Conv2d, {"kernel_size": 3}, (2, 6, 10, 14), (2, 4, 10, 14)),
    (nn.Conv2d, {"kernel_size": 3, "stride": (2, 1)}, (2, 6, 10, 14), (2, 4, 5, 14)),
    (nn.Conv2d, {"kernel_size": (1, 3), "dilation": (5, 2)}, (1, 6, 7, 9), (1, 4, 7, 9)),
    (nn.Conv2d, {"kernel_size": 3, "dilation": 20}, (1, 6, 5, 3), (1, 4, 5, 3)),  # beyond the map
    (nn.Conv3d, {"kernel_size": (1, 3, 5)}, (2, 6, 4, 8, 12), (2, 4, 4, 8, 12)),
    (nn.Conv3d, {"kernel_size": 3, "stride": (1, 2, 4)}, (1, 6, 4, 8, 12), (1, 4, 4, 4, 3)),
    (nn.Conv3d, {"kernel_size": 3, "dilation": (1, 2, 3)}, (1, 6, 1, 8, 12), (1, 4, 1, 8, 12)),
]


@pytest.mark.parametrize("block", [ConvNormNonlin, DepthwiseSeparableConv])
@pytest.mark.parametrize(("conv_op", "kwargs", "shape_in", "shape_out"), SHAPES)
def test_shapes(block, conv_op, kwargs, shape_in, shape_out):
    assert block(conv_op, 6, 4, **kwargs)(torch.randn(shape_in)).shape == shape_out


def test_separable_is_grouped_then_pointwise():
    block = DepthwiseSeparableConv(
        nn.Conv2d,
        3,
        5,
        3,
        stride=2,
        dilation=2,
        norm_op=nn.BatchNorm2d,
        depthwise_nonlin=nn.LeakyReLU,
        nonlin=nn.Hardswish,
    ).eval()
    x = torch.randn(2, 3, 11, 9)
    y = F.conv2d(x, block.depthwise.conv.weight, stride=2, padding=2, dilation=2, groups=3)
    y = F.leaky_relu(block.depthwise.norm(y), 0.01)
    y = block.pointwise.norm(F.conv2d(y, block.pointwise.conv.weight))
    y = y * F.relu6(y + 3) / 6  # h-swish, as the paper writes it
    torch.testing.assert_close(block(x), y)


@pytest.mark.parametrize(("conv_op", "shape"), [(nn.Conv2d, (2, 5, 6, 10)), (nn.Conv3d, (1, 5, 2, 6, 10))])
def test_a_shortcut_adds_the_input_before_the_last_activation(conv_op, shape):
    kwargs = {"norm_op": nn.BatchNorm2d if conv_op is nn.Conv2d else nn.BatchNorm3d, "depthwise_nonlin": nn.LeakyReLU}
    block = ResidualSeparableConv(conv_op, 5, 5, 3, nonlin=nn.Hardswish, **kwargs).eval()
    plain = DepthwiseSeparableConv(conv_op, 5, 5, 3, **kwargs).eval()
    plain.load_state_dict(block.state_dict())  # the same names
    x = torch.randn(shape)
    torch.testing.assert_close(block(x), F.hardswish(x + plain(x)))
    nn.init.zeros_(block.pointwise.norm.weight)
    torch.testing.assert_close(block(x), F.hardswish(x))


@pytest.mark.parametrize("norm_op", [nn.BatchNorm3d, nn.InstanceNorm3d])
def test_a_convolution_before_a_norm_has_no_bias(norm_op):
    block = DepthwiseSeparableConv(nn.Conv3d, 2, 4, 3, conv_bias=True, norm_op=norm_op)
    assert block.depthwise.conv.bias is None
    assert block.pointwise.conv.bias is None
    assert DepthwiseSeparableConv(nn.Conv3d, 2, 4, 3, conv_bias=True).pointwise.conv.bias is not None


def test_order_of_norm_and_activation():
    kwargs = {"norm_op": nn.BatchNorm2d, "nonlin": nn.ReLU, "dropout_op": nn.Dropout2d}
    assert [n for n, _ in ConvNormNonlin(nn.Conv2d, 1, 2, 3, **kwargs).named_children()] == [
        "conv",
        "dropout",
        "norm",
        "nonlin",
    ]
    first = ConvNormNonlin(nn.Conv2d, 1, 2, 3, **kwargs, nonlin_first=True)
    assert [n for n, _ in first.named_children()] == ["conv", "dropout", "nonlin", "norm"]


def test_dropout_stands_once_in_a_separable_block():
    block = DepthwiseSeparableConv(nn.Conv2d, 2, 2, 3, dropout_op=nn.Dropout2d, dropout_op_kwargs={"p": 0.3})
    assert [m.p for m in block.modules() if isinstance(m, nn.Dropout2d)] == [0.3]


def test_an_even_kernel_is_refused():
    with pytest.raises(ValueError, match="kernel_size must be odd"):
        ConvNormNonlin(nn.Conv2d, 1, 1, (3, 2))


@pytest.mark.parametrize(("channels", "stride"), [((1, 4), 1), ((4, 4), 2), ((4, 4), (1, 2))])
def test_a_shortcut_needs_an_output_of_the_input_s_shape(channels, stride):
    with pytest.raises(ValueError, match="output_channels must equal input_channels, and stride be 1"):
        ResidualSeparableConv(nn.Conv2d, *channels, 3, stride=stride)
