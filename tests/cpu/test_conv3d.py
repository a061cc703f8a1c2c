import pytest
import torch
from torch import nn
from torch.nn import functional as F

from nnunet_eas.cpu import accelerate, conv3d
from nnunet_eas.cpu.conv3d import DepthwiseConv3d, PointwiseConv3d

CHANNELS = 4
SHAPE = (4, 5, 7)  # of the volume; of an image its last two
KERNELS_3D = [
    ((3, 3, 3), (1, 1, 1)),
    ((3, 3, 3), (1, 2, 3)),
    ((3, 3, 3), (2, 3, 1)),
    ((3, 3, 3), (3, 1, 2)),
    ((1, 3, 3), (1, 1, 1)),
    ((1, 3, 3), (1, 3, 2)),
    ((3, 3, 3), (3, 4, 6)),  # the outer weights see a single voxel of each axis
    ((3, 3, 3), (4, 5, 7)),  # beyond the map: they see padding alone
    ((3, 3, 3), (9, 8, 1)),
]
KERNELS_2D = [((3, 3), (i, j)) for i in (1, 2, 3) for j in (1, 2, 3)] + [((3, 3), (5, 9))]
FORMATS = {4: torch.channels_last, 5: torch.channels_last_3d}
BFLOAT16 = pytest.mark.skipif(
    not (torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()),
    reason="this CPU has no convolutions in bfloat16",
)
TOLERANCES = [
    pytest.param(torch.float32, 1e-4, id="float32"),
    pytest.param(torch.float64, 1e-10, id="float64"),
    # 8 bits: the gradients' sums are rounded for each image and plane
    pytest.param(torch.bfloat16, 2e-2, id="bfloat16", marks=BFLOAT16),
]


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture
def fast(monkeypatch):
    """One entry for every fast backward pass: whether the input's and the weight's gradient were asked for."""
    found = []
    real = conv3d._gradients

    def spy(*args):
        found.append(args[-2:])
        return real(*args)

    monkeypatch.setattr(conv3d, "_gradients", spy)
    return found


def channels_last(x):
    return x.contiguous(memory_format=FORMATS[x.ndim])


def convolution(kernel, dilation, **kwargs):
    """As `ConvNormNonlin` builds it, accelerated."""
    padding = tuple(d * (k // 2) for d, k in zip(dilation, kernel, strict=True))
    cls = {2: nn.Conv2d, 3: nn.Conv3d}[len(kernel)]
    kwargs = {"groups": CHANNELS, "bias": False, "padding": padding, **kwargs}
    return accelerate(cls(CHANNELS, CHANNELS, kernel, dilation=dilation, **kwargs))


def expected(conv, x, of_output):
    """Output and gradients in double precision, contiguous, by PyTorch's function."""
    parameters = [x.detach().double().contiguous()] + [p.detach().double() for p in conv.parameters()]
    parameters = [p.requires_grad_() for p in parameters]
    image, weight, *bias = parameters
    convolve = F.conv2d if x.ndim == 4 else F.conv3d
    y = convolve(image, weight, *(bias or [None]), conv.stride, conv.padding, conv.dilation, conv.groups)
    return [y.detach(), *torch.autograd.grad(y, parameters, of_output.double())]


def assert_near(found, exact, tolerance):
    """Relative to the largest value: a sum of many may cancel."""
    for a, b in zip(found, exact, strict=True):
        torch.testing.assert_close(a.detach().double(), b, rtol=0, atol=tolerance * b.abs().max().item())


def gradient_of_output(conv, x):
    with torch.no_grad():
        return torch.randn_like(conv(x))


@pytest.mark.parametrize(("dtype", "tolerance"), TOLERANCES)
@pytest.mark.parametrize("images", [1, 2])
@pytest.mark.parametrize("layout", ["channels-last", "contiguous"])
@pytest.mark.parametrize("depth", [SHAPE[0], 1])
@pytest.mark.parametrize(("kernel", "dilation"), KERNELS_3D)
def test_volumes(fast, kernel, dilation, depth, layout, images, dtype, tolerance):
    conv = convolution(kernel, dilation).to(dtype)
    x = torch.randn(images, CHANNELS, depth, *SHAPE[1:]).to(dtype)
    x = (channels_last(x) if layout == "channels-last" else x).requires_grad_()
    of_output = gradient_of_output(conv, x)
    y = conv(x)
    y.backward(of_output)
    assert fast == ([(True, True)] if layout == "channels-last" else [])
    assert_near([y, x.grad, conv.weight.grad], expected(conv, x, of_output), tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), TOLERANCES)
@pytest.mark.parametrize("images", [1, 2])
@pytest.mark.parametrize("convert", [channels_last, torch.Tensor.contiguous], ids=["channels-last", "contiguous"])
@pytest.mark.parametrize(
    ("kernel", "dilation", "kwargs"),
    [
        *[(*case, {}) for case in KERNELS_2D + KERNELS_3D],
        ((3, 3), (1, 2), {"stride": (2, 1)}),
        ((3, 3, 3), (1, 2, 1), {"stride": (1, 2, 2)}),
        ((1, 1), (1, 1), {"groups": 1}),  # pointwise
        ((1, 1, 1), (1, 1, 1), {"groups": 1}),
    ],
)
def test_gradients_of_any_convolution(kernel, dilation, kwargs, convert, images, dtype, tolerance):
    """What the recomputing blocks call, outside of autograd."""
    conv = convolution(kernel, dilation, **kwargs).to(dtype)
    x = convert(torch.randn(images, CHANNELS, *SHAPE[-len(kernel) :]).to(dtype))
    of_output = gradient_of_output(conv, x)
    _, of_x, of_weight = expected(conv, x, of_output)
    with torch.no_grad():
        assert_near(conv3d.gradients(conv, of_output, x, conv.weight), [of_x, of_weight], tolerance)
        alone, found = conv3d.gradients(conv, of_output, x, conv.weight, of_input=False)
        assert alone is None
        assert_near([found], [of_weight], tolerance)
        conv.weight.requires_grad_(False)
        found, alone = conv3d.gradients(conv, of_output, x, conv.weight)
        assert alone is None
        assert_near([found], [of_x], tolerance)


def test_maps_stay_channels_last():
    conv = convolution((3, 3, 3), (1, 2, 1))
    x = channels_last(torch.randn(2, CHANNELS, *SHAPE)).requires_grad_()
    y = conv(x)
    y.sum().backward()  # whose gradient is one value, expanded
    assert y.is_contiguous(memory_format=torch.channels_last_3d)
    assert x.grad.is_contiguous(memory_format=torch.channels_last_3d)
    assert_near([y, x.grad, conv.weight.grad], expected(conv, x, torch.ones_like(y)), 1e-4)


def test_only_the_gradient_that_is_asked_for(fast):
    x = channels_last(torch.randn(2, CHANNELS, *SHAPE))
    conv = convolution((3, 3, 3), (1, 2, 1))
    of_output = gradient_of_output(conv, x)
    _, of_x, of_weight = expected(conv, x, of_output)

    conv(x).backward(of_output)
    assert x.grad is None
    assert_near([conv.weight.grad], [of_weight], 1e-4)

    conv.zero_grad()
    conv.weight.requires_grad_(False)
    conv(x.requires_grad_()).backward(of_output)
    assert conv.weight.grad is None
    assert_near([x.grad], [of_x], 1e-4)
    assert fast == [(False, True), (True, False)]


def test_gradcheck(fast):
    conv = convolution((3, 3, 3), (1, 2, 1), bias=True).double()
    x = channels_last(torch.randn(1, CHANNELS, 2, 3, 4, dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, *_: conv(x), (x, conv.weight, conv.bias))
    assert fast


@pytest.mark.parametrize(
    ("kernel", "kwargs", "is_fast"),
    [
        ((3, 3, 3), {"bias": True}, True),
        ((5, 1, 3), {}, True),
        ((3, 3, 3), {"stride": 2}, False),
        ((3, 3, 3), {"stride": (1, 2, 1), "bias": True}, False),
        ((3, 3, 3), {"padding": (1, 0, 1)}, False),  # another size
        ((3, 3, 3), {"groups": 2, "bias": True}, False),
        ((3, 3, 3), {"groups": 1}, False),
    ],
    ids=str,
)
def test_settings(fast, kernel, kwargs, is_fast):
    conv = convolution(kernel, (1, 1, 1), **kwargs)
    x = channels_last(torch.randn(2, CHANNELS, *SHAPE)).requires_grad_()
    of_output = gradient_of_output(conv, x)
    y = conv(x)
    y.backward(of_output)
    assert bool(fast) == is_fast
    assert_near([y, x.grad, *[p.grad for p in conv.parameters()]], expected(conv, x, of_output), 1e-4)


def test_one_channel_goes_to_pytorchs_own(fast):
    """It is channels-last and contiguous at once, and no depthwise convolution."""
    conv = accelerate(nn.Conv3d(1, 1, 3, padding=1, bias=False))
    assert type(conv) is nn.Conv3d
    x = torch.randn(2, 1, *SHAPE, requires_grad=True)
    conv(x).sum().backward()
    assert not fast


def test_an_image_without_a_batch_axis(fast):
    conv = convolution((3, 3, 3), (1, 1, 1))
    x = torch.randn(CHANNELS, *SHAPE)
    torch.testing.assert_close(conv(x), conv(x[None])[0])
    assert not fast


def test_without_gradients_it_is_pytorchs_own(monkeypatch):
    conv = convolution((3, 3, 3), (1, 2, 3), bias=True)
    x = channels_last(torch.randn(2, CHANNELS, *SHAPE))
    with_gradients = conv(x).detach()
    monkeypatch.setattr(conv3d, "_DepthwiseConv3d", None)
    with torch.no_grad():
        torch.testing.assert_close(conv(x), with_gradients)
    with torch.inference_mode():
        torch.testing.assert_close(conv(x), with_gradients)


@BFLOAT16
def test_autocast_gets_pytorchs_own(fast):
    conv = convolution((3, 3, 3), (1, 2, 1))
    x = channels_last(torch.randn(2, CHANNELS, *SHAPE)).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        y = conv(x)
    y.backward(torch.ones_like(y))
    assert not fast
    assert_near([y, x.grad, conv.weight.grad], expected(conv, x, torch.ones_like(y)), 2e-2)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*jit.trace:FutureWarning")
@pytest.mark.parametrize(
    "convert",
    [
        lambda conv, x: torch.jit.trace(conv, x, check_trace=False),  # the check is a run without tracing
        lambda conv, x: torch.compile(conv, backend="eager", fullgraph=True),
    ],
    ids=["traced", "compiled"],
)
def test_graphs_hold_pytorchs_own(fast, convert):
    conv = convolution((3, 3, 3), (1, 2, 1), bias=True)
    x = channels_last(torch.randn(2, CHANNELS, *SHAPE)).requires_grad_()
    torch._dynamo.reset()
    graph = convert(conv, x)
    of_output = gradient_of_output(conv, x)
    y = graph(x)
    y.backward(of_output)
    assert not fast
    assert_near([y, x.grad, conv.weight.grad, conv.bias.grad], expected(conv, x, of_output), 1e-4)


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize(("dtype", "tolerance"), TOLERANCES[:2])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("n_threads", [1, 2])
def test_pointwise_convolutions_keep_the_layout_with_any_number_of_threads(threads, n_threads, bias, dtype, tolerance):
    threads(n_threads)
    conv = accelerate(nn.Conv3d(CHANNELS, 6, 1, bias=bias)).to(dtype)
    assert isinstance(conv, PointwiseConv3d)
    x = channels_last(torch.randn(2, CHANNELS, *SHAPE, dtype=dtype)).requires_grad_()
    of_output = channels_last(torch.randn(2, 6, *SHAPE, dtype=dtype))
    y = conv(x)
    y.backward(of_output)
    if n_threads == 1:
        assert y.is_contiguous(memory_format=torch.channels_last_3d)
        assert x.grad.is_contiguous(memory_format=torch.channels_last_3d)
    exact = expected(conv, x, of_output)
    assert_near([y, x.grad, *[p.grad for p in conv.parameters()]], exact, tolerance)
    with torch.no_grad():
        found = conv3d.gradients(conv, of_output, x, conv.weight)
    assert_near(found, exact[1:3], tolerance)


@pytest.mark.parametrize(
    "kwargs", [{"stride": 2}, {"padding": 1}, {"groups": 2}, {"kernel_size": (1, 1, 3), "padding": (0, 0, 1)}], ids=str
)
def test_other_convolutions_are_not_taken_for_pointwise_ones(kwargs):
    conv = accelerate(nn.Conv3d(CHANNELS, CHANNELS, **{"kernel_size": 1, **kwargs}))
    assert type(conv) is nn.Conv3d


def test_depthwise_is_recognised():
    assert isinstance(convolution((3, 3, 3), (1, 2, 1)), DepthwiseConv3d)
