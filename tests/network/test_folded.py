import copy
import pickle

import pytest
import torch
from tiny_networks import NORMS, batch, build
from torch import nn

from nnunet_eas.network.blocks import ConvNormNonlin
from nnunet_eas.network.folded import Folded

ENTRIES = ("conv.weight", "norm.weight", "norm.bias", "norm.running_mean", "norm.running_var")


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture
def folds(monkeypatch):
    """One entry for every convolution that ran with its norm merged into it."""
    found = []
    for way in ("__call__", "depthwise", "pointwise"):
        real = getattr(Folded, way)

        def spy(self, conv, *args, real=real):
            found.append(conv)
            return real(self, conv, *args)

        monkeypatch.setattr(Folded, way, spy)
    return found


def predict(network, x):
    with torch.no_grad():
        return network(x)


def unfolded(network, x):
    """The same without merging, which gradients rule out."""
    with torch.enable_grad():
        outputs = network(x)
    return [y.detach() for y in (outputs if isinstance(outputs, list) else [outputs])]


def channels_last(x):
    return x.contiguous(memory_format=torch.channels_last if x.ndim == 4 else torch.channels_last_3d)


def build_block(dim, **kwargs):
    kwargs = {"input_channels": 3, "output_channels": 4, "kernel_size": 3, "nonlin": nn.Hardswish, **kwargs}
    block = ConvNormNonlin(nn.Conv2d if dim == 2 else nn.Conv3d, norm_op=NORMS[dim, "batch"], **kwargs)
    for entry in (block.norm.weight, block.norm.bias, block.norm.running_mean):
        nn.init.normal_(entry)
    nn.init.uniform_(block.norm.running_var, 0.5, 2.0)
    return block


def convolutions(network):
    return [m for m in network.modules() if isinstance(m, ConvNormNonlin)]


def assert_near(found, expected, dtype=torch.float32):
    tolerance = {torch.float32: 1e-5, torch.float64: 1e-12}[dtype]
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == b.dtype == dtype
        torch.testing.assert_close(a, b, rtol=0, atol=tolerance * b.abs().max().item())


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
def test_a_prediction_is_the_unfolded_one(folds, dim, kwargs):
    network, x = build(dim, **kwargs).eval(), batch(dim)
    expected = unfolded(network, x)
    assert not folds
    assert_near(predict(network, x), expected)
    assert folds == [m.conv for m in convolutions(network)]
    assert_near(predict(network.double(), x.double()), unfolded(network, x.double()), torch.float64)


@pytest.mark.parametrize("images", [1, 2])
@pytest.mark.parametrize("convert", [channels_last, torch.Tensor.contiguous], ids=["channels-last", "contiguous"])
@pytest.mark.parametrize(
    "kwargs",
    [
        {},
        {"nonlin": nn.LeakyReLU, "nonlin_kwargs": {"negative_slope": 0.3, "inplace": True}},
        {"nonlin": nn.LeakyReLU, "nonlin_kwargs": {"negative_slope": -0.3}},
        {"nonlin": nn.ReLU},
        {"nonlin": nn.GELU},
        {"nonlin": None},
        {"input_channels": 1},
        {"output_channels": 1},
        {"kernel_size": 1},
        {"kernel_size": 1, "shape": (1, 1, 1)},
        {"stride": (2, 1, 3)},
        {"dilation": (1, 2, 3)},
        {"dilation": 9},
        {"input_channels": 6, "output_channels": 6, "groups": 6, "dilation": (1, 2, 1)},
        {"input_channels": 6, "output_channels": 6, "groups": 6, "stride": (1, 2, 3)},
        {"input_channels": 6, "groups": 2},
    ],
    ids=str,
)
@pytest.mark.parametrize("dim", [2, 3])
def test_a_block(folds, dim, kwargs, convert, images):
    settings = {k: v[-dim:] if isinstance(v, tuple) else v for k, v in kwargs.items()}
    shape = settings.pop("shape", (4, 5, 7)[-dim:])
    block = build_block(dim, **settings).eval()
    x = convert(torch.randn(images, block.conv.in_channels, *shape))
    before = x.clone()
    assert_near([predict(block, x)], unfolded(block, x))
    assert len(folds) == 1
    assert torch.equal(x, before)


@pytest.mark.parametrize("dim", [2, 3])
def test_the_input_is_left_alone(dim):
    network, x = build(dim).eval(), batch(dim)
    before = x.clone()
    first = predict(network, x)
    assert torch.equal(x, before)
    torch.testing.assert_close(predict(network, x), first, rtol=0, atol=0)


@pytest.mark.parametrize("dim", [2, 3])
def test_with_gradients_it_is_not_folded_and_they_flow(folds, dim):
    network, x = build(dim).eval(), batch(dim).requires_grad_()
    (grad,) = torch.autograd.grad(sum(y.square().sum() for y in network(x)), x, retain_graph=True)
    assert grad.abs().max() > 0
    sum(y.square().sum() for y in network(x)).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad.abs().max() > 0, name
    assert not folds


def test_training_drops_it(folds):
    network, x = build(2).eval(), batch(2)
    assert all(m.folded is not None for m in convolutions(network))
    network.train()
    assert all(m.folded is None for m in convolutions(network))
    before = copy.deepcopy(network.state_dict())
    predict(network, x)  # in training mode: a batch's own statistics, which are kept
    assert not folds
    name = "encoder.stages.0.0.norm.running_mean"
    assert not torch.equal(network.state_dict()[name], before[name])
    network.eval()
    assert_near(predict(network, x), unfolded(network, x))
    assert len(folds) == len(convolutions(network))


@pytest.mark.parametrize("assign", [False, True])
def test_loaded_weights_are_folded_anew(folds, assign):
    network, other, x = build(2).eval(), build(2), batch(2)
    network.load_state_dict(other.state_dict(), assign=assign)
    expected = unfolded(other.eval(), x)
    assert_near(predict(network, x), expected)
    assert len(folds) == len(convolutions(network))


def test_weights_loaded_into_a_part_are_not_missed():
    network, other, x = build(2).eval(), build(2), batch(2)
    before = predict(network, x)
    network.encoder.load_state_dict(other.encoder.state_dict())
    expected = unfolded(network, x)
    assert (before[0] - expected[0]).abs().max() > 1e-2
    assert_near(predict(network, x), expected)
    block, other, x = build_block(2).eval(), build_block(2), torch.randn(2, 3, 5, 7)
    block.conv.load_state_dict(other.conv.state_dict())
    block.norm.load_state_dict(other.norm.state_dict())
    assert_near([predict(block, x)], unfolded(other.eval(), x))


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("replaced", [False, True], ids=["in place", "replaced"])
def test_a_change_in_evaluation_mode_is_not_missed(folds, entry, replaced):
    block, x = build_block(2).eval(), torch.randn(2, 3, 5, 7)
    before = predict(block, x)
    module, name = block.get_submodule(entry.split(".")[0]), entry.split(".")[1]
    value = getattr(module, name)
    with torch.no_grad():
        if replaced:
            new = value * 2 + 1
            setattr(module, name, nn.Parameter(new) if isinstance(value, nn.Parameter) else new)
        else:
            value.mul_(2).add_(1)
    expected = unfolded(block, x)
    assert (before - expected[0]).abs().max() > 0.1
    assert_near([predict(block, x)], expected)
    assert len(folds) == 1
    block.eval()
    assert_near([predict(block, x)], expected)
    assert len(folds) == 2


def test_another_type_is_folded_anew(folds):
    network, x = build(3).eval(), batch(3)
    expected = unfolded(network, x)
    network.to(torch.float64)
    found = predict(network, x.double())
    assert_near(found, unfolded(network, x.double()), torch.float64)
    assert_near([y.float() for y in found], expected)
    assert len(folds) == len(convolutions(network))


def test_the_meta_device_gets_the_modules_own_weights():
    """`compute_conv_feature_map_size` runs the network there without moving it."""
    network, x = build(2).eval(), batch(2)
    size = network.compute_conv_feature_map_size(x.shape[2:])
    assert size == build(2).compute_conv_feature_map_size(x.shape[2:]) > 0
    assert_near(predict(network, x), unfolded(network, x))


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda network: pickle.loads(pickle.dumps(network))], ids=["deepcopy", "pickle"]
)
def test_a_copy_stands_by_itself(folds, copied):
    network, x = build(2).eval(), batch(2)
    expected = unfolded(network, x)
    other = copied(network)
    assert_near(predict(other, x), expected)
    folds.clear()
    assert_near(predict(other.eval(), x), expected)
    assert len(folds) == len(convolutions(other))
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(2).add_(1)
    assert_near(predict(other, x), unfolded(other, x))
    assert_near(predict(network, x), expected)


def test_nothing_of_it_is_in_the_state():
    network = build(2)
    state = list(network.state_dict())
    parameters = [k for k, _ in network.named_parameters()]
    network.eval()
    assert list(network.state_dict()) == state
    assert [k for k, _ in network.named_parameters()] == parameters
    assert sorted(state) == sorted([*parameters, *[k for k, _ in network.named_buffers()]])
    build(2).load_state_dict(network.state_dict(), strict=True)


@pytest.mark.parametrize(
    ("norm", "kwargs"),
    [
        ("instance", {}),
        ("instance", {"norm_op_kwargs": {"track_running_stats": True}}),
        ("batch", {"norm_op_kwargs": {"track_running_stats": False}}),
        ("batch", {"nonlin_first": True, "eas_module": False}),
        (None, {"norm_op_kwargs": None}),
    ],
    ids=str,
)
def test_what_is_not_folded(folds, norm, kwargs):
    network, x = build(2, norm, **kwargs).eval(), batch(2)
    assert all(m.folded is None for m in convolutions(network))
    assert_near(predict(network, x), unfolded(network, x))
    assert not folds


@pytest.mark.parametrize("dim", [2, 3])
def test_compiled(dim):
    network, x = build(dim).eval(), batch(dim)
    norms = []

    def backend(graph, _):
        norms.append(sum("batch_norm" in str(node.target) for node in graph.graph.nodes))
        return graph.forward

    torch._dynamo.reset()
    compiled = torch.compile(network, backend=backend, fullgraph=True)
    assert_near(predict(compiled, x), unfolded(network, x))
    assert norms == [1]  # the EAS module's, in front of which stands a sum


def test_compiled_between_epochs_of_training():
    """The weights are folded anew for every epoch's validation, which must not compile the network anew."""
    block = build_block(2)
    optimizer = torch.optim.SGD(block.parameters(), lr=1.0)
    x, graphs = torch.randn(2, 3, 5, 7), []

    def backend(graph, _):
        graphs.append(graph)
        return graph.forward

    torch._dynamo.reset()
    compiled = torch.compile(block, backend=backend, fullgraph=True)
    for _ in range(4):
        block.train()
        compiled(x).square().sum().backward()
        optimizer.step()
        block.eval()
        assert_near([predict(compiled, x)], [block(x).detach()])
    assert len(graphs) == 2


@pytest.mark.parametrize("dim", [2, 3])
def test_exported(folds, dim):
    network, x = build(dim).eval(), batch(dim)
    expected = unfolded(network, x)
    with torch.no_grad():
        program = torch.export.export(network, (x,))
    assert_near(program.module()(x), expected)
    assert set(program.state_dict) == set(network.state_dict())
    assert not folds


@pytest.mark.filterwarnings("ignore:.*jit.trace:FutureWarning", "ignore::torch.jit.TracerWarning")
def test_traced(folds):
    network, x = build(2).eval(), batch(2)
    with torch.no_grad():
        traced = torch.jit.trace(network, x, check_trace=False)  # the check is a run without tracing
    assert not folds
    assert_near(predict(traced, x), unfolded(network, x))


@pytest.mark.parametrize("dim", [2, 3])
def test_in_inference_mode(folds, dim):
    network, x = build(dim).eval(), batch(dim)
    expected = unfolded(network, x)
    with torch.inference_mode():
        found = network(x)
    assert_near([y.clone() for y in found], expected)
    assert len(folds) == len(convolutions(network))


def test_evaluation_mode_set_in_inference_mode(folds):
    network, x = build(2), batch(2)
    with torch.inference_mode():
        network.eval()
    assert_near(predict(network, x), unfolded(network, x))
    assert len(folds) == len(convolutions(network))


def test_built_and_loaded_in_inference_mode():
    trained, x = build(2), batch(2)
    with torch.inference_mode():
        network = build(2).eval()
        network.load_state_dict(trained.state_dict())
        found = network(x)
    assert_near([y.clone() for y in found], unfolded(trained.eval(), x))


def test_dropout_and_norms_in_training_mode_are_not_folded_away():
    """Monte Carlo dropout, and norms that take the data's own statistics."""
    network = build(2, dropout_op=nn.Dropout2d, dropout_op_kwargs={"p": 0.5}, deep_supervision=False).eval()
    x = batch(2)
    with torch.no_grad():
        for kind in (nn.Dropout2d, nn.BatchNorm2d):
            settled = network(x)
            for module in network.modules():
                if isinstance(module, kind):
                    module.train()
            assert not torch.equal(network(x), settled)
            network.eval()


def test_a_copy_that_is_changed():
    """A copy's tensors count their changes anew, from where the folded ones may stand."""
    network = build(2, deep_supervision=False).eval()
    averaged = copy.deepcopy(network)
    x = batch(2)
    with torch.no_grad():
        for tensor in (*averaged.parameters(), *averaged.buffers()):
            if tensor.is_floating_point():
                tensor.mul_(1.5)
        found = averaged(x)
    torch.testing.assert_close(found, averaged(x).detach(), rtol=1e-4, atol=1e-4)


def test_a_norm_that_was_taken_out():
    network = build(2, deep_supervision=False).eval()
    network.encoder.stages[0][0].norm = nn.Identity()
    x = batch(2)
    with torch.no_grad():
        found = network(x)
    torch.testing.assert_close(found, network(x).detach(), rtol=1e-4, atol=1e-4)
