import copy
import pickle

import pytest
import torch
from tiny_networks import batch, build

from nnunet_eas.cpu import PATHS, accelerate, restore
from nnunet_eas.cpu.shortcut import InPlaceShortcut

NETWORKS = [(2, "batch"), (2, "instance"), (3, "batch"), (3, "instance")]
CHANGED = {"shortcut": True, "eas_first_scale": 0.1, "n_conv_per_stage": [2, 2, 2]}
SWITCHES = [{}, {"pool": "conv"}, {"block": "full"}, {"stem": "separable"}, CHANGED]


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def classes(network):
    return [type(module) for module in network.modules()]


def step(network, x):
    """Outputs, gradients and buffers of a training step, and the prediction after it."""
    outputs = network.train()(x)
    sum(y.square().sum() for y in outputs).backward()
    with torch.no_grad():
        prediction = network.eval()(x)
    return [*outputs, *prediction, *(p.grad for p in network.parameters()), *network.buffers()]


@pytest.mark.parametrize("paths", [[path] for path in PATHS] + [list(PATHS)], ids=str)
@pytest.mark.parametrize("switch", SWITCHES, ids=str)
@pytest.mark.parametrize(("dim", "norm"), NETWORKS)
def test_a_network_computes_the_same_with_each_path_and_all_of_them(dim, norm, switch, paths):
    plain, x = build(dim, norm, **switch).double(), batch(dim, dtype=torch.float64)
    fast = accelerate(copy.deepcopy(plain), paths)
    torch.testing.assert_close(step(fast, x), step(plain, x), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("dim", "norm"), NETWORKS)
def test_the_state_dict_is_the_plain_networks(dim, norm):
    plain = build(dim, norm)
    fast = accelerate(copy.deepcopy(plain))
    assert list(fast.state_dict()) == list(plain.state_dict())
    plain.load_state_dict(fast.state_dict())


@pytest.mark.parametrize(("dim", "norm"), NETWORKS)
def test_restore_gives_the_plain_classes_back(dim, norm):
    network = build(dim, norm)
    before = classes(network)
    assert classes(accelerate(network)) != before
    assert classes(accelerate(network)) != before
    assert classes(restore(network)) == before


@pytest.mark.parametrize(("dim", "norm"), NETWORKS)
def test_copies_and_pickles(dim, norm):
    network, x = accelerate(build(dim, norm)).eval(), batch(dim)
    with torch.no_grad():
        expected = network(x)
        torch.testing.assert_close(copy.deepcopy(network)(x), expected, rtol=0, atol=0)
        torch.testing.assert_close(pickle.loads(pickle.dumps(network))(x), expected, rtol=0, atol=0)


@pytest.mark.slow
@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize(("dim", "norm"), NETWORKS)
def test_a_compiler_gets_one_graph(dim, norm, train):
    network, x = accelerate(build(dim, norm)).train(train), batch(dim)
    torch._dynamo.reset()
    compiled = torch.compile(copy.deepcopy(network), backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), network(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "changes",
    [{}, {"norm_op": None}, {"pointwise_nonlin": torch.nn.GELU}, {"dropout_op": torch.nn.Dropout2d}],
    ids=str,
)
def test_a_shortcut_in_place_leaves_the_input_as_it_is(changes):
    network = accelerate(build(2, "batch", shortcut=True, **changes)).eval()
    block = network.encoder.stages[0][1]
    assert type(block) is InPlaceShortcut
    x = torch.randn(2, 4, 8, 12).to(memory_format=torch.channels_last)
    before = x.clone()
    with torch.no_grad():
        found = block(x)
        expected = restore(network).encoder.stages[0][1](x)
    torch.testing.assert_close(found, expected)
    assert torch.equal(x, before)
