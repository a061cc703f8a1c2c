import copy
from functools import partial

import pytest
import torch
from tiny_networks import NORMS, batch, build
from torch import nn

from nnunet_eas.cpu import accelerate, conv3d, recompute
from nnunet_eas.network.blocks import ConvNormNonlin, DepthwiseSeparableConv, Stage


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture
def assert_equal_to_plain():
    """Trains two copies, one of them plain, and compares all that comes out of them."""

    def check(network, *batches, recomputes=True, **tolerances):
        fast = accelerate(copy.deepcopy(network))
        first = batches[0] if isinstance(batches[0], tuple) else (batches[0],)
        share = bytes_kept(copy.deepcopy(fast), *first) / bytes_kept(copy.deepcopy(network), *first)
        assert recomputes is None or (share < 0.9) == recomputes, share  # max pooling alone keeps little less
        found, expected = train(fast, *batches), train(network, *batches)
        tolerances = {"rtol": 1e-9, "atol": 1e-10, **tolerances}
        for part, of_plain in expected.items():
            torch.testing.assert_close(found[part], of_plain, **tolerances, msg=partial("{}: {}".format, part))
        return found

    return check


def bytes_kept(network, *maps):
    """Bytes of the tensors that the backward pass will need, weights apart, memory that they share counted once."""
    kept = {}
    weights = {parameter.data_ptr() for parameter in network.parameters()}

    def keep(tensor):
        if tensor.data_ptr() not in weights:
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        network(*[x.detach().clone().requires_grad_() for x in maps])
    return sum(kept.values())


def train(network, *batches):
    """Outputs, gradients and buffers after a forward and a backward pass for each batch, the gradients added up."""
    torch.manual_seed(1)  # of the dropout
    outputs, of_inputs = [], []
    for maps in batches:
        maps = [
            x.detach().clone().requires_grad_(x.requires_grad) for x in (maps if isinstance(maps, tuple) else (maps,))
        ]
        y = network(*maps)
        outputs += y if isinstance(y, list) else [y]
        latest = y if isinstance(y, list) else [y]
        # no plain sum: behind a norm that has no gradient
        weights = [torch.linspace(-1, 1, o.numel(), dtype=o.dtype).sin().reshape(o.shape) for o in latest]
        sum((o * w).sum() for o, w in zip(latest, weights, strict=True)).backward()
        of_inputs += [x.grad for x in maps]
    return {
        "outputs": outputs,
        "gradients of the input": of_inputs,
        "gradients": {k: v.grad for k, v in network.named_parameters()},
        "buffers": dict(network.named_buffers()),
    }


def double(dim, images=2):
    return batch(dim, images, torch.float64).requires_grad_()


def separable(dim, norm="batch", channels=(4, 6), **kwargs):
    conv_op = nn.Conv2d if dim == 2 else nn.Conv3d
    kwargs = {
        "norm_op": NORMS[dim, norm],
        "norm_op_kwargs": {"affine": True},
        "depthwise_nonlin": nn.LeakyReLU,
        "depthwise_nonlin_kwargs": {"inplace": True},
        "nonlin": nn.Hardswish,
        **kwargs,
    }
    return DepthwiseSeparableConv(conv_op, *channels, 3, **kwargs)


@pytest.mark.parametrize("dropout", [False, True], ids=["", "dropout"])
@pytest.mark.parametrize(
    "blocks",
    [
        {},
        {"stem": "separable"},
        {"block": "full"},
        {"shortcut": True, "n_conv_per_stage": [2, 3, 2]},
        {"shortcut": True, "pointwise_nonlin": nn.LeakyReLU},
    ],
    ids=str,
)
@pytest.mark.parametrize("pool", ["max", "conv"])
@pytest.mark.parametrize("norm", ["batch", "instance"])
@pytest.mark.parametrize("dim", [2, 3])
def test_a_step_of_the_whole_network(assert_equal_to_plain, dim, norm, pool, blocks, dropout):
    kwargs = {"dropout_op": nn.Dropout2d if dim == 2 else nn.Dropout3d, "dropout_op_kwargs": {"p": 0.5}}
    network = build(dim, norm, pool=pool, **blocks, **(kwargs if dropout else {})).double()
    found = assert_equal_to_plain(network, double(dim))
    assert all(g.abs().max() > 0 for g in found["gradients"].values())
    assert found["gradients of the input"][0].abs().max() > 0
    counts = [v for k, v in found["buffers"].items() if k.endswith("num_batches_tracked")]
    assert bool(counts) == (norm == "batch")
    assert all(count == 1 for count in counts)


@pytest.mark.parametrize("shortcut", [False, True])
@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_single_precision_takes_the_fast_gradients_and_agrees(assert_equal_to_plain, norm, shortcut):
    """In double precision PyTorch's convolutions give maps that are not channels-last; here they are."""
    threads = torch.get_num_threads()
    torch.set_num_threads(2)  # with one, 1x1x1 convolutions give them too
    try:
        # a gradient is a sum over thousands of voxels, whose order depends on the CPU
        assert_equal_to_plain(build(3, norm, shortcut=shortcut), batch(3).requires_grad_(), rtol=1e-4, atol=1e-3)
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("shortcut", [False, True])
@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_gradients_of_two_steps_add_up(assert_equal_to_plain, dim, norm, shortcut):
    assert_equal_to_plain(build(dim, norm, shortcut=shortcut).double(), double(dim), double(dim, images=3))


@pytest.mark.parametrize("shortcut", [False, True])
@pytest.mark.parametrize(("dim", "norm"), [(2, "batch"), (3, "batch"), (3, "instance")])
@pytest.mark.parametrize(
    "frozen",
    [
        (".depthwise.conv.weight",),
        (".pointwise.conv.weight",),
        (".norm.weight", ".norm.bias"),
        (".norm.weight",),
        (".norm.bias",),
        (".depthwise.conv.weight", ".pointwise.conv.weight", ".norm.weight", ".norm.bias"),
    ],
    ids=str,
)
def test_frozen_parameters_get_no_gradient_and_the_others_the_same(assert_equal_to_plain, dim, norm, frozen, shortcut):
    network = build(dim, norm, shortcut=shortcut).double()
    x = double(dim)
    expected = train(copy.deepcopy(network), x)["gradients"]
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(not name.endswith(frozen))
    found = assert_equal_to_plain(network, x)["gradients"]
    assert {k for k, v in found.items() if v is None} == {k for k in found if k.endswith(frozen)}
    torch.testing.assert_close(found, {k: None if k.endswith(frozen) else v for k, v in expected.items()})


def test_an_encoder_that_is_frozen_and_an_input_without_gradient(assert_equal_to_plain):
    network = build(3, "instance").double()
    network.encoder.requires_grad_(False)
    found = assert_equal_to_plain(network, batch(3, dtype=torch.float64))
    assert found["gradients of the input"] == [None]
    assert all((v is None) == k.startswith("encoder.") for k, v in found["gradients"].items())


@pytest.mark.parametrize("needed", [True, False])
def test_a_gradient_of_the_input_that_nobody_needs_is_not_computed(monkeypatch, needed):
    asked = []
    real = conv3d.gradients

    def spy(conv, grad, x, weight, of_input=True):
        asked.append((conv.groups > 1, bool(of_input)))
        return real(conv, grad, x, weight, of_input)

    monkeypatch.setattr(conv3d, "gradients", spy)
    stage = accelerate(Stage(separable(3)))
    stage(torch.randn(2, 4, 3, 5, 7, requires_grad=needed)).square().sum().backward()
    assert asked == [(False, True), (True, needed)]


@pytest.mark.parametrize("dim", [2, 3])
def test_batch_norms_that_are_frozen(assert_equal_to_plain, dim):
    network = build(dim).double()
    before = {k: v.clone() for k, v in network.named_buffers()}
    for module in network.modules():
        if isinstance(module, (nn.BatchNorm2d, nn.BatchNorm3d)):
            module.eval()
    found = assert_equal_to_plain(network, double(dim), recomputes=False)
    torch.testing.assert_close(found["buffers"], before, rtol=0, atol=0)


@pytest.mark.parametrize(
    "frozen", ["encoder.stages.0.1.depthwise.norm", "encoder.stages.0.1.pointwise.norm", "encoder.stages.0.0.norm"]
)
def test_one_batch_norm_that_is_frozen(assert_equal_to_plain, frozen):
    network = build(2).double()
    network.get_submodule(frozen).eval()
    found = assert_equal_to_plain(network, double(2))
    assert found["buffers"][f"{frozen}.num_batches_tracked"] == 0
    assert found["buffers"]["encoder.stages.1.1.depthwise.norm.num_batches_tracked"] == 1


@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_norms_without_weights(assert_equal_to_plain, dim, norm):
    assert_equal_to_plain(build(dim, norm, norm_op_kwargs={"affine": False}).double(), double(dim))


@pytest.mark.parametrize(
    ("norm", "kwargs", "recomputes"),
    [
        ("batch", {"eps": 0.1, "momentum": 0.3}, True),
        ("instance", {"eps": 0.1}, True),
        ("batch", {"track_running_stats": False}, True),
        ("batch", {"momentum": None}, False),  # a mean over all batches, which only PyTorch's module knows
        ("instance", {"track_running_stats": True}, False),
    ],
    ids=str,
)
def test_settings_of_the_norm(assert_equal_to_plain, norm, kwargs, recomputes):
    network = build(2, norm, norm_op_kwargs={"affine": True, **kwargs}).double()
    assert_equal_to_plain(network, double(2), double(2), recomputes=recomputes)


@pytest.mark.parametrize(
    "kwargs",
    [
        {"nonlin": nn.ReLU, "nonlin_kwargs": None},
        {"nonlin": nn.ReLU, "nonlin_kwargs": {"inplace": True}},
        {"nonlin": nn.LeakyReLU, "nonlin_kwargs": {"inplace": False, "negative_slope": 0.2}},
        {"nonlin": nn.Hardswish, "nonlin_kwargs": {"inplace": True}},
        {"pointwise_nonlin": nn.ReLU, "pointwise_nonlin_kwargs": {"inplace": True}},
        {"pointwise_nonlin": nn.LeakyReLU, "pointwise_nonlin_kwargs": {"inplace": True, "negative_slope": 0.2}},
        # the fall-back to the plain path, here of half a block each
        {"nonlin": nn.GELU, "nonlin_kwargs": None},
        {"nonlin": None, "nonlin_kwargs": None},
        {"pointwise_nonlin": nn.GELU},
    ],
    ids=str,
)
@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_activations(assert_equal_to_plain, norm, kwargs):
    assert_equal_to_plain(build(2, norm, **kwargs).double(), double(2), recomputes=None)


@pytest.mark.parametrize(
    "kwargs",
    [
        {"nonlin": nn.GELU, "nonlin_kwargs": None, "pointwise_nonlin": nn.GELU},
        {"nonlin_first": True, "eas_module": False},  # whose 1x1 convolution always has its norm first
        {"norm": None, "norm_op_kwargs": None},
    ],
    ids=str,
)
def test_what_it_does_not_know_is_left_to_pytorch(assert_equal_to_plain, kwargs):
    assert_equal_to_plain(build(3, **{"norm": "instance", **kwargs}).double(), double(3), recomputes=False)


def test_a_subclass_of_a_known_activation_is_not_taken_for_it(assert_equal_to_plain):
    class Shifted(nn.ReLU):
        def forward(self, x):
            return super().forward(x + 1)

    network = build(2, nonlin=Shifted, nonlin_kwargs=None, pointwise_nonlin=Shifted).double()
    assert_equal_to_plain(network, double(2), recomputes=False)


@pytest.mark.parametrize("needed", [(True, True), (True, False), (False, True), (False, False)], ids=str)
@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_maps_to_concatenate(assert_equal_to_plain, dim, norm, needed):
    blocks = Stage(separable(dim, norm, (5, 4)), separable(dim, norm, (4, 3))).double()
    shape = (5, 7) if dim == 2 else (3, 5, 7)
    maps = [torch.randn(2, c, *shape, dtype=torch.float64) for c in (2, 3)]
    for x, need in zip(maps, needed, strict=True):
        x.requires_grad_(need)
    found = assert_equal_to_plain(blocks, tuple(maps))
    assert tuple(g is not None for g in found["gradients of the input"]) == needed


@pytest.mark.parametrize("dim", [2, 3])
def test_blocks_of_all_kinds_behind_each_other(assert_equal_to_plain, dim):
    """A max pooling that follows a block gets its map finished; a module of another kind too."""
    conv_op, pool = (nn.Conv2d, nn.MaxPool2d) if dim == 2 else (nn.Conv3d, nn.MaxPool3d)
    blocks = Stage(
        pool(2),
        separable(dim, "batch", (2, 4)),
        pool(2),
        ConvNormNonlin(conv_op, 4, 6, 3, norm_op=NORMS[dim, "instance"], nonlin=nn.ReLU),
        nn.Identity(),
        separable(dim, "instance", (6, 3), nonlin=nn.GELU),
        separable(dim, "batch", (3, 5)),
    ).double()
    shape = (8, 12) if dim == 2 else (4, 8, 12)
    assert_equal_to_plain(blocks, torch.randn(2, 2, *shape, dtype=torch.float64, requires_grad=True))


def test_pooling_of_equal_values(assert_equal_to_plain):
    blocks = Stage(nn.MaxPool2d(2), separable(2, "batch", (2, 4))).double()
    x = torch.randint(0, 2, (2, 2, 8, 12)).double().requires_grad_()
    assert_equal_to_plain(blocks, x)


@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize(("norm", "images"), [("batch", 1), ("instance", 1), ("instance", 2)])
def test_maps_of_one_voxel_raise_pytorchs_error(dim, norm, images):
    stage = Stage(separable(dim, norm, (4, 4)))
    x = torch.randn(images, 4, *[1] * dim)
    with pytest.raises(ValueError, match="Expected more than 1") as expected:
        stage(x)
    with pytest.raises(ValueError, match="Expected more than 1") as found:
        accelerate(stage)(x)
    assert str(found.value) == str(expected.value)


@pytest.mark.parametrize("dim", [2, 3])
def test_maps_of_one_voxel_of_two_images_have_a_batch_norm(assert_equal_to_plain, dim):
    x = torch.randn(2, 4, *[1] * dim, dtype=torch.float64, requires_grad=True)
    assert_equal_to_plain(Stage(separable(dim)).double(), x)


@pytest.mark.slow
def test_a_compiler_gets_the_plain_stage():
    stage, x = Stage(separable(2)), torch.randn(2, 4, 5, 7)
    torch._dynamo.reset()
    compiled = torch.compile(accelerate(copy.deepcopy(stage)), backend="eager", fullgraph=True)
    assert bytes_kept(compiled, x) == bytes_kept(stage, x)


@pytest.mark.parametrize("norm", ["batch", "instance"])
@pytest.mark.parametrize("dim", [2, 3])
def test_autocast_gets_the_plain_stage(dim, norm):
    plain = build(dim, norm)
    network = accelerate(copy.deepcopy(plain))
    x = batch(dim)
    with torch.autocast("cpu", torch.bfloat16):
        outputs = network(x)
        expected = plain(x)
    assert outputs[0].dtype == torch.bfloat16
    torch.testing.assert_close(outputs, expected, rtol=0, atol=0)
    sum(y.float().square().sum() for y in outputs).backward()  # as advised, outside
    assert all(p.grad.isfinite().all() and p.grad.abs().max() > 0 for p in network.parameters())


@pytest.mark.filterwarnings("ignore:.*jit.trace:FutureWarning", "ignore::torch.jit.TracerWarning")
def test_a_tracer_gets_the_plain_stage():
    stage, x = accelerate(Stage(separable(3, "instance"))), torch.randn(2, 4, 3, 5, 7)
    traced = torch.jit.trace(stage, x, check_trace=False)  # the check is a run without tracing
    assert "_NormNonlin" not in str(traced.inlined_graph)
    torch.testing.assert_close(traced(x), stage(x))


@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_a_stage_keeps_its_input_and_one_map_for_each_block(dim, norm):
    x = torch.randn(2, 16, *((40, 48) if dim == 2 else (8, 16, 24)))
    stage = Stage(separable(dim, norm, (16, 16)), separable(dim, norm, (16, 16)))
    kept = bytes_kept(accelerate(copy.deepcopy(stage)), x)
    assert kept <= 3.05 * x.nbytes  # what is above 3 are a norm's statistics
    # plain are 10 maps; PyTorch may come to keep less by itself
    assert kept < 0.31 * bytes_kept(stage, x)


def test_max_pooling_keeps_its_input_alone():
    x = torch.randn(2, 16, 8, 16, 24)
    pool = Stage(nn.MaxPool3d(2))
    assert bytes_kept(pool, x) == 1.25 * x.nbytes  # and where each maximum was, 8 bytes for 4
    assert bytes_kept(accelerate(pool), x) == x.nbytes


def test_weights_that_are_made_for_the_pass():
    """`functional_call` and parametrizations put tensors in the places of parameters, for the forward pass alone."""
    plain, x = Stage(separable(2)).double(), torch.randn(2, 4, 5, 7, dtype=torch.float64)
    given = {name: (2 * value).detach().requires_grad_() for name, value in plain.named_parameters()}
    found = []
    for stage in (plain, accelerate(copy.deepcopy(plain))):
        y = torch.func.functional_call(stage, given, x)
        found.append(torch.autograd.grad(y.square().sum(), list(given.values())))
    torch.testing.assert_close(*found)


def test_a_weight_that_is_changed_before_the_backward_pass_is_an_error():
    stage = accelerate(Stage(separable(2)))
    y = stage(torch.randn(2, 4, 5, 7))
    with torch.no_grad():
        stage[0].pointwise.conv.weight.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_checkpointing_around_a_stage():
    stage = accelerate(Stage(separable(2))).double()
    x = torch.randn(2, 4, 5, 7, dtype=torch.float64, requires_grad=True)
    (expected,) = torch.autograd.grad(stage(x).square().sum(), x)
    y = torch.utils.checkpoint.checkpoint(stage, x, use_reentrant=False)
    (found,) = torch.autograd.grad(y.square().sum(), x)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    ("norm", "shape"), [(nn.BatchNorm2d, (3, 4, 240, 336)), (nn.BatchNorm3d, (2, 4, 40, 48, 56))], ids=["2", "3"]
)
def test_statistics_of_a_batch_are_precise_where_the_mean_is_large(norm, shape):
    """One long sum for each channel is not."""
    norm = norm(shape[1])
    x = (torch.randn(shape) + 30).to(memory_format=torch.channels_last if len(shape) == 4 else torch.channels_last_3d)
    exact = copy.deepcopy(norm).double()
    expected = exact(x.double())
    y, _ = recompute._normalise(norm, x, (norm.weight, norm.bias))
    torch.testing.assert_close(y.double(), expected, rtol=0, atol=1e-4)
    for name, buffer in norm.named_buffers():
        torch.testing.assert_close(buffer.double(), exact.get_buffer(name).double(), rtol=1e-5, atol=0)
