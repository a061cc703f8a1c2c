import copy

import pytest
import torch
from tiny_networks import NORMS, batch, build
from torch import nn

from nnunet_eas.cpu import accelerate
from nnunet_eas.network.blocks import ConvNormNonlin


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def predict(network, x):
    with torch.no_grad():
        return network(x)


def operations(network, x):
    """The names of the operations in a prediction."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        predict(network, x)
    return {event.name for event in profile.events()}


def channels_last(x):
    return x.contiguous(memory_format=torch.channels_last if x.ndim == 4 else torch.channels_last_3d)


def build_block(dim, **kwargs):
    kwargs = {"input_channels": 3, "output_channels": 4, "kernel_size": 3, "nonlin": nn.Hardswish, **kwargs}
    block = ConvNormNonlin(nn.Conv2d if dim == 2 else nn.Conv3d, norm_op=NORMS[dim, "batch"], **kwargs)
    for entry in (block.norm.weight, block.norm.bias, block.norm.running_mean):
        nn.init.normal_(entry)
    nn.init.uniform_(block.norm.running_var, 0.5, 2.0)
    return block.eval()


def assert_near(found, expected):
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-5 * b.abs().max().item())


@pytest.mark.parametrize(
    "kwargs",
    [
        {},
        {"block": "full"},
        {"pool": "conv"},
        {"stem": "separable"},
        {"nonlin": None, "nonlin_kwargs": None},
        {"nonlin": nn.ReLU, "nonlin_kwargs": None, "pointwise_nonlin": nn.GELU},
        {"norm_op_kwargs": {"affine": False, "eps": 0.1}},
        {"dropout_op": nn.Dropout, "dropout_op_kwargs": {"p": 0.5}},
    ],
    ids=str,
)
@pytest.mark.parametrize("dim", [2, 3])
def test_a_prediction_is_the_plain_networks(dim, kwargs):
    plain, x = build(dim, **{"eas_module": False, **kwargs}).eval(), batch(dim)
    fast = accelerate(copy.deepcopy(plain))
    assert "aten::batch_norm" in operations(plain, x)
    assert "aten::batch_norm" not in operations(fast, x)
    assert_near(predict(fast, x), predict(plain, x))
    torch.testing.assert_close(predict(fast.double(), x.double()), predict(plain.double(), x.double()))


@pytest.mark.parametrize("convert", [channels_last, torch.Tensor.contiguous], ids=["channels-last", "contiguous"])
@pytest.mark.parametrize(
    "kwargs",
    [
        {"nonlin": nn.LeakyReLU, "nonlin_kwargs": {"negative_slope": 0.3, "inplace": True}},
        {"nonlin": nn.GELU},
        {"nonlin": None},
        {"input_channels": 1},
        {"output_channels": 1},
        {"kernel_size": 1, "shape": (1, 1, 1)},
        {"stride": (2, 1, 3)},
        {"dilation": (1, 2, 3)},
        {"input_channels": 6, "output_channels": 6, "groups": 6, "stride": (1, 2, 3)},
        {"input_channels": 6, "groups": 2},
        {"nonlin_first": True},
    ],
    ids=str,
)
@pytest.mark.parametrize("dim", [2, 3])
def test_a_block(dim, kwargs, convert):
    settings = {k: v[-dim:] if isinstance(v, tuple) else v for k, v in kwargs.items()}
    shape = settings.pop("shape", (4, 5, 7)[-dim:])
    block = build_block(dim, **settings)
    x = convert(torch.randn(2, block.conv.in_channels, *shape))
    before = x.clone()
    expected = predict(block, x)
    assert_near([predict(accelerate(block), x)], [expected])
    assert torch.equal(x, before)


def test_weights_are_always_those_of_the_moment():
    plain, x = build_block(2), torch.randn(2, 3, 5, 7)
    fast = accelerate(copy.deepcopy(plain))
    predict(fast, x)

    def step(block):
        torch.manual_seed(0)
        optimizer = torch.optim.SGD(block.parameters(), lr=0.1)
        block(x).square().sum().backward()
        optimizer.step()

    for change in (
        step,
        lambda block: block.conv.weight.data.mul_(2) is block.eval(),
        lambda block: block.norm.running_mean.add_(1),
        lambda block: block.load_state_dict({k: v / 2 for k, v in block.state_dict().items()}),
        lambda block: setattr(block.norm, "weight", nn.Parameter(2 * block.norm.weight.detach())),
    ):
        change(plain), change(fast)
        assert_near([predict(fast, x)], [predict(plain, x)])


def test_training_uses_the_batchs_own_statistics_and_keeps_them():
    plain, x = build_block(2).train(), torch.randn(2, 3, 5, 7)
    fast = accelerate(copy.deepcopy(plain))
    torch.testing.assert_close(predict(fast, x), predict(plain, x), rtol=0, atol=0)
    torch.testing.assert_close(fast.state_dict(), plain.state_dict(), rtol=0, atol=0)


def test_dropout_that_is_on_in_prediction_stays_on():
    block = accelerate(build_block(2, dropout_op=nn.Dropout, dropout_op_kwargs={"p": 0.9}))
    block.dropout.train()
    x = torch.randn(2, 3, 5, 7)
    assert not torch.equal(predict(block, x), predict(block, x))


def test_gradients_flow_in_evaluation_mode():
    block, x = accelerate(build_block(2)), torch.randn(2, 3, 5, 7, requires_grad=True)
    block(x).square().sum().backward()
    assert x.grad.abs().max() > 0
    assert all(p.grad.abs().max() > 0 for p in block.parameters())
