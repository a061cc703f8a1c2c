from functools import partial

import pytest
import torch
from torch import nn

from nnunet_eas.network.blocks import ConvNormNonlin, DepthwiseSeparableConv
from nnunet_eas.network.eas_module import EASModule

OPS = [
    (nn.Conv2d, nn.BatchNorm2d, (2, 8, 5, 7)),
    (nn.Conv2d, nn.InstanceNorm2d, (2, 8, 5, 7)),
    (nn.Conv3d, nn.BatchNorm3d, (2, 8, 3, 5, 7)),
    (nn.Conv3d, nn.InstanceNorm3d, (2, 8, 3, 5, 7)),
    (nn.Conv2d, None, (1, 8, 1, 1)),
]


def build(conv_op, norm_op, dilations=(1, 2), block=DepthwiseSeparableConv, first_scale=None):
    dilated = partial(block, conv_op, norm_op=norm_op, nonlin=nn.Hardswish)
    kwargs = None if norm_op is None else {"affine": True}
    return EASModule(conv_op, 8, 3, dilations, dilated, norm_op=norm_op, norm_op_kwargs=kwargs, first_scale=first_scale)


@pytest.mark.parametrize(("conv_op", "norm_op", "shape"), OPS)
@pytest.mark.parametrize("block", [DepthwiseSeparableConv, ConvNormNonlin])
def test_keeps_the_shape(conv_op, norm_op, shape, block):
    assert build(conv_op, norm_op, block=block)(torch.randn(shape)).shape == shape


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize(("conv_op", "norm_op", "shape"), OPS)
def test_the_output_depends_on_the_pooled_branch(conv_op, norm_op, shape, train):
    module = build(conv_op, norm_op).train(train)
    x = torch.randn(shape)
    with torch.no_grad():
        before = module(x)
        module.pooled[0].weight.normal_(std=3)
        change = (module(x) - before).abs().max()
    assert change > 1e-2


@pytest.mark.parametrize("norm_op", [nn.BatchNorm2d, nn.InstanceNorm2d])
def test_every_branch_counts(norm_op):
    module = build(nn.Conv2d, norm_op, dilations=(1, 2, 3))
    module(torch.randn(2, 8, 6, 8)).square().mean().backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_with_batch_norm_it_is_the_literal_concatenation():
    module = build(nn.Conv2d, nn.BatchNorm2d).eval()
    x = torch.randn(2, 8, 5, 7)
    branches = [module.attention(x), *[b(x) for b in module.atrous]]
    branches.append(module.pooled(x.mean(dim=(2, 3), keepdim=True)).expand(-1, -1, 5, 7))
    weight = torch.cat([module.project.weight, module.project_pooled.weight], dim=1)
    projected = nn.functional.conv2d(torch.cat(branches, dim=1), weight)
    torch.testing.assert_close(module(x), module.nonlin(module.norm(projected)))


def test_one_branch_per_rate_and_each_at_its_rate():
    module = build(nn.Conv3d, nn.InstanceNorm3d, dilations=((1, 2, 3), (2, 4, 6)))
    assert [b.depthwise.conv.dilation for b in module.atrous] == [(1, 2, 3), (2, 4, 6)]


def test_no_rates_is_refused():
    with pytest.raises(ValueError, match="dilations must hold at least one rate"):
        build(nn.Conv2d, nn.BatchNorm2d, dilations=())


@pytest.mark.parametrize(("conv_op", "norm_op", "shape"), OPS)
def test_a_scaled_module_is_added_to_its_input(conv_op, norm_op, shape):
    scaled, alone = build(conv_op, norm_op, first_scale=0.25), build(conv_op, norm_op)
    missing, unexpected = alone.load_state_dict(scaled.state_dict(), strict=False)
    assert (missing, unexpected) == ([], ["scale"])
    x = torch.randn(shape)
    torch.testing.assert_close(scaled(x), x + 0.25 * alone(x))
