"""Activation checkpointing: the same step, with less kept for the backward pass."""

import copy
import os
import statistics

import pytest
import torch
from tiny_networks import batch, build
from torch import nn

from nnunet_eas.cpu import accelerate
from nnunet_eas.gpu import checkpoint_stages, recompute
from nnunet_eas.network.blocks import concatenated

pytestmark = pytest.mark.slow
LONG = pytest.mark.skipif("TEST_ALL_KERNELS" not in os.environ, reason="takes long")


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


CHANGED = {"shortcut": True, "eas_first_scale": 0.1}
"""Switches of the trainer's plans, beside batch norm."""

TRAINED = [(2, "batch", CHANGED), (3, "batch", CHANGED), (3, "instance", {})]
"""Networks of the trainer, and the paper's where its norm is another one."""


def networks(dim, norm, **changes):
    plain = build(dim, norm, **changes)
    recomputing = copy.deepcopy(plain)
    checkpoint_stages(recomputing)
    assert list(recomputing.state_dict()) == list(plain.state_dict())
    return plain, recomputing


def step(network, x, dtype=None):
    """Outputs, gradients and buffers of one step; `dtype` is autocast's."""
    torch.manual_seed(1)  # of the dropout
    x = x.detach().clone().requires_grad_()
    with torch.autocast("cpu", dtype=dtype, enabled=dtype is not None):
        outputs = network(x)
    outputs = [output.to(x.dtype) for output in outputs]
    sum((o * torch.linspace(-1, 1, o.numel(), dtype=o.dtype).sin().reshape(o.shape)).sum() for o in outputs).backward()
    gradients = {name: parameter.grad for name, parameter in network.named_parameters()}
    return {"outputs": outputs, "input": x.grad, "gradients": gradients, "buffers": dict(network.named_buffers())}


def alive_after_forward(network, x):
    """Bytes that a forward pass allocates and that live on with its outputs."""
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as profile:
        outputs = network(x)
    return sum(event.self_cpu_memory_usage for event in profile.events()), outputs


@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize("norm", ["batch", "instance", None])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"block": "full"},
        {"pool": "conv"},
        {"stem": "separable"},
        {"dropout_op": nn.Dropout},
        {"shortcut": True, "eas_first_scale": 0.1},
    ],
)
def test_the_step_is_the_same(dim, norm, changes):
    plain, recomputing = networks(dim, norm, **changes)
    x = batch(dim, 2, torch.float64)
    expected, found = step(plain.double(), x), step(recomputing.double(), x)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    assert all(g.abs().max() > 0 for g in found["gradients"].values())
    counted = [int(v) for k, v in found["buffers"].items() if k.endswith("num_batches_tracked")]
    assert set(counted) == ({1} if norm == "batch" else set())


# not bfloat16 in 3-D: oneDNN's gradient of a depthwise convolution's weight reads unwritten memory, on the plain path
# too (MALLOC_PERTURB_=129 shows it)
@pytest.mark.parametrize(("dim", "dtype"), [(2, torch.float16), (2, torch.bfloat16), (3, torch.float16)], ids=str)
@pytest.mark.parametrize(("norm", "changes"), [("batch", CHANGED), ("instance", {})], ids=["ours", "instance"])
def test_under_autocast_it_agrees_as_well_as_the_plain_path(dim, dtype, norm, changes):
    """With the step in double precision, on average: one network's rounding errors are luck."""
    errors = []
    for seed in range(5):
        torch.manual_seed(seed)
        pair = networks(dim, norm, **changes)
        x = batch(dim, 2)
        exact = step(copy.deepcopy(pair[0]).double(), x.double())["gradients"]
        halves = [step(network, x, dtype)["gradients"] for network in pair]
        errors.append([[float((g - exact[n]).norm() / exact[n].norm()) for n, g in half.items()] for half in halves])
    of_plain, of_recomputing = (statistics.mean(map(statistics.mean, of_one)) for of_one in zip(*errors, strict=True))
    assert of_recomputing <= 1.1 * of_plain


@pytest.mark.parametrize(("dim", "norm", "changes"), TRAINED)
def test_a_decoder_s_maps_are_not_concatenated(monkeypatch, dim, norm, changes):
    """Also with the norms that `accelerate` puts in place, as the trainer does for every device."""
    network = accelerate(build(dim, norm, **changes))
    checkpoint_stages(network)
    numbers = set()
    monkeypatch.setattr(recompute, "concatenated", lambda maps: numbers.add(len(maps)) or concatenated(maps))
    network(batch(dim, 2))
    assert numbers == {1}


@pytest.mark.parametrize(("dim", "norm", "changes"), TRAINED)
def test_less_is_kept(dim, norm, changes):
    plain, recomputing = networks(dim, norm, **changes)
    x = batch(dim, 2)
    of_plain, of_recomputing = (alive_after_forward(network, x)[0] for network in (plain, recomputing))
    assert of_recomputing < 0.5 * of_plain


# not 2-D with instance norm, on which this backend fails without recomputation as well
@pytest.mark.parametrize(
    ("dim", "norm", "changes"),
    [
        (3, "batch", CHANGED),
        pytest.param(3, "instance", {}, marks=LONG),
        pytest.param(2, "batch", CHANGED, marks=LONG),
    ],
)
def test_a_compiler_gets_one_graph_that_keeps_less(dim, norm, changes):
    """By the partitioner that Inductor has, too."""
    plain, recomputing = networks(dim, norm, **changes)
    torch._dynamo.reset()
    compiled = torch.compile(recomputing.double(), backend="aot_eager_decomp_partition", fullgraph=True)
    x = batch(dim, 2, torch.float64)
    expected, found = step(plain.double(), x), step(compiled, x)
    held, held_by_plain = (alive_after_forward(network, x)[0] for network in (compiled, plain))
    assert held < 0.5 * held_by_plain
    names = {name.removeprefix("_orig_mod."): gradient for name, gradient in found["gradients"].items()}
    torch.testing.assert_close(names, expected["gradients"], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(dict(recomputing.named_buffers()), expected["buffers"], rtol=1e-9, atol=1e-9)


def test_prediction_is_not_touched():
    plain, recomputing = networks(2, "batch")
    x = batch(2)
    with torch.no_grad():
        assert torch.equal(recomputing.eval()(x)[0], plain.eval()(x)[0])
