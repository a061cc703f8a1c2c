import copy

import pytest
import torch
from torch import nn

from nnunet_eas.cpu import instance_norm
from nnunet_eas.cpu.instance_norm import ChannelsLastInstanceNorm2d, ChannelsLastInstanceNorm3d

PLAIN = {ChannelsLastInstanceNorm2d: nn.InstanceNorm2d, ChannelsLastInstanceNorm3d: nn.InstanceNorm3d}
FORMATS = {4: torch.channels_last, 5: torch.channels_last_3d}
SHAPES = [
    (ChannelsLastInstanceNorm2d, (1, 3, 5, 7)),
    (ChannelsLastInstanceNorm2d, (3, 2, 5, 7)),
    (ChannelsLastInstanceNorm2d, (2, 3, 1, 2)),
    (ChannelsLastInstanceNorm2d, (2, 3, 7, 1)),
    (ChannelsLastInstanceNorm3d, (1, 4, 3, 5, 7)),
    (ChannelsLastInstanceNorm3d, (3, 2, 3, 5, 7)),
    (ChannelsLastInstanceNorm3d, (2, 3, 1, 5, 7)),
    (ChannelsLastInstanceNorm3d, (2, 3, 1, 1, 7)),
    (ChannelsLastInstanceNorm3d, (2, 3, 5, 1, 1)),
]


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture
def own(monkeypatch):
    """The inputs that did not go to PyTorch's function."""
    found = []
    real = instance_norm.forward

    def spy(x, *args):
        found.append(x)
        return real(x, *args)

    monkeypatch.setattr(instance_norm, "forward", spy)
    return found


def channels_last(x):
    return x.contiguous(memory_format=FORMATS[x.ndim])


def pair(cls, channels, affine=True, dtype=torch.float64, **kwargs):
    """Ours and PyTorch's with the same random weights."""
    ours = cls(channels, affine=affine, **kwargs).to(dtype)
    if affine:
        nn.init.normal_(ours.weight)
        nn.init.normal_(ours.bias)
    plain = PLAIN[cls](channels, affine=affine, **kwargs).to(dtype)
    plain.load_state_dict(ours.state_dict(), strict=True)
    return ours, plain


def gradients(norm, x):
    x = x.detach().clone().requires_grad_()
    y = norm(x)
    (y * torch.randn(y.shape, generator=torch.Generator().manual_seed(1))).sum().backward()
    return y, x.grad, [p.grad for p in norm.parameters()]


@pytest.mark.parametrize("affine", [True, False], ids=["affine", "plain"])
@pytest.mark.parametrize(("cls", "shape"), SHAPES)
def test_output_and_gradients_are_pytorchs(own, cls, shape, affine):
    ours, plain = pair(cls, shape[1], affine, eps=1e-3)
    images = torch.arange(1, shape[0] + 1).reshape(-1, *[1] * (len(shape) - 1))
    x = channels_last(torch.randn(shape, dtype=torch.float64) * images + images)  # every image has its own statistics
    expected = gradients(plain, x)
    assert not own
    torch.testing.assert_close(gradients(ours, x), expected, rtol=1e-10, atol=1e-10)
    assert len(own) == 1


@pytest.mark.parametrize(
    ("cls", "shape"), [(ChannelsLastInstanceNorm2d, (2, 3, 4, 5)), (ChannelsLastInstanceNorm3d, (2, 2, 3, 2, 4))]
)
def test_gradcheck(own, cls, shape):
    norm, _ = pair(cls, shape[1])
    x = channels_last(torch.randn(shape, dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, *_: norm(x), (x, norm.weight, norm.bias))
    assert own


@pytest.mark.parametrize(("cls", "shape"), SHAPES)
def test_output_and_gradient_of_a_channels_last_map_are_channels_last(own, cls, shape):
    norm, _ = pair(cls, shape[1], dtype=torch.float32)
    for x in (channels_last(torch.randn(shape)), channels_last(torch.randn(shape))):
        y, grad, _ = gradients(norm, x)
        assert y.is_contiguous(memory_format=FORMATS[x.ndim])
        assert grad.is_contiguous(memory_format=FORMATS[x.ndim])
        norm.eval()  # nothing changes
    assert len(own) == 2


@pytest.mark.parametrize(
    ("cls", "shape"), [(ChannelsLastInstanceNorm2d, (2, 3, 5, 7)), (ChannelsLastInstanceNorm3d, (2, 4, 3, 5, 7))]
)
def test_a_contiguous_map_goes_to_pytorchs_own(own, cls, shape):
    ours, plain = pair(cls, shape[1], dtype=torch.float32)
    x = torch.randn(shape)
    torch.testing.assert_close(gradients(ours, x), gradients(plain, x), rtol=0, atol=0)
    assert not own


@pytest.mark.parametrize(
    ("cls", "shape"), [(ChannelsLastInstanceNorm2d, (2, 3, 5, 7)), (ChannelsLastInstanceNorm3d, (2, 4, 3, 5, 7))]
)
def test_one_with_running_statistics_is_pytorchs_own(own, cls, shape):
    ours, plain = pair(cls, shape[1], track_running_stats=True)
    x = channels_last(torch.randn(shape, dtype=torch.float64))
    for _ in range(2):
        torch.testing.assert_close(ours(x), plain(x), rtol=0, atol=0)
        torch.testing.assert_close(ours.state_dict(), plain.state_dict(), rtol=0, atol=0)
        ours.eval()
        plain.eval()
    assert not own


@pytest.mark.parametrize(
    ("cls", "shape"),
    [
        (ChannelsLastInstanceNorm2d, (2, 4, 240, 336)),
        (ChannelsLastInstanceNorm3d, (2, 4, 40, 48, 56)),
        (ChannelsLastInstanceNorm3d, (1, 4, 3, 160, 224)),
    ],
)
def test_single_precision_is_enough_where_the_mean_is_large(own, cls, shape):
    """One long sum for each channel is not: see `_statistics`."""
    ours, plain = pair(cls, shape[1], dtype=torch.float32)
    x = channels_last(torch.randn(shape) + 30)
    y, of_input, of_parameters = gradients(ours, x)
    assert own
    expected = gradients(plain.double(), x.double())
    torch.testing.assert_close(y.double(), expected[0], rtol=0, atol=1e-4)
    torch.testing.assert_close(of_input.double(), expected[1], rtol=0, atol=1e-4 * expected[1].abs().max().item())
    for found, exact in zip(of_parameters, expected[2], strict=True):
        torch.testing.assert_close(found.double(), exact, rtol=0, atol=1e-4 * exact.abs().max().item())


@pytest.mark.parametrize(
    ("cls", "shape"), [(ChannelsLastInstanceNorm2d, (2, 1, 5, 7)), (ChannelsLastInstanceNorm3d, (2, 1, 3, 5, 7))]
)
@pytest.mark.parametrize("convert", [torch.Tensor.contiguous, channels_last])
def test_one_channel(cls, shape, convert):
    ours, plain = pair(cls, 1)
    x = convert(torch.randn(shape, dtype=torch.float64))
    torch.testing.assert_close(gradients(ours, x), gradients(plain, x))


@pytest.mark.parametrize(
    ("cls", "shape"), [(ChannelsLastInstanceNorm2d, (2, 3, 1, 1)), (ChannelsLastInstanceNorm3d, (2, 3, 1, 1, 1))]
)
@pytest.mark.parametrize("train", [True, False])
def test_one_voxel_raises_as_pytorch_does(cls, shape, train):
    ours, plain = pair(cls, 3)
    x = channels_last(torch.randn(shape, dtype=torch.float64))
    with pytest.raises(ValueError, match="Expected more than 1 spatial element") as found:
        ours.train(train)(x)
    with pytest.raises(ValueError, match="Expected more than 1 spatial element") as expected:
        plain.train(train)(x)
    assert str(found.value) == str(expected.value)


@pytest.mark.parametrize("cls", [ChannelsLastInstanceNorm2d, ChannelsLastInstanceNorm3d])
def test_an_image_without_a_batch_axis(cls):
    ours, plain = pair(cls, 3)
    x = torch.randn((3, 5, 7) if cls is ChannelsLastInstanceNorm2d else (3, 4, 5, 7), dtype=torch.float64)
    torch.testing.assert_close(ours(x), plain(x))


@pytest.mark.parametrize("kwargs", [{}, {"affine": True}, {"affine": True, "track_running_stats": True}], ids=str)
@pytest.mark.parametrize("cls", [ChannelsLastInstanceNorm2d, ChannelsLastInstanceNorm3d])
def test_the_state_is_pytorchs(cls, kwargs):
    ours, plain = cls(3, **kwargs), PLAIN[cls](3, **kwargs)
    assert list(ours.state_dict()) == list(plain.state_dict())
    assert isinstance(ours, PLAIN[cls])


@pytest.mark.filterwarnings("ignore:.*jit.trace:FutureWarning", "ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize(
    ("cls", "shape"), [(ChannelsLastInstanceNorm2d, (2, 3, 5, 7)), (ChannelsLastInstanceNorm3d, (2, 4, 3, 5, 7))]
)
def test_compiled_and_traced_it_is_pytorchs(own, cls, shape):
    ours, plain = pair(cls, shape[1])
    x = channels_last(torch.randn(shape, dtype=torch.float64))
    torch._dynamo.reset()
    compiled = torch.compile(copy.deepcopy(ours), backend="eager", fullgraph=True)
    torch.testing.assert_close(gradients(compiled, x), gradients(plain, x))
    assert not own
    traced = torch.jit.trace(ours, x, check_trace=False)  # the check is a run of ours
    assert not own
    torch.testing.assert_close(traced(x), plain(x))
