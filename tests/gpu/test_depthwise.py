"""3-D depthwise convolutions by kernels of our own: who computes them, and in Triton's interpreter, what."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny_networks import batch, build
from torch import nn

from nnunet_eas.cpu import accelerate, restore
from nnunet_eas.gpu import use_depthwise_kernels
from nnunet_eas.gpu.depthwise import VARIABLE, CudaDepthwiseConv3d

needs_triton = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="PyTorch brings Triton on Linux")
MOST = {"half": 1e-3, "bfloat16": 1e-2}


def convolutions(network):
    return [m for m in network.modules() if isinstance(m, CudaDepthwiseConv3d)]


@needs_triton
@pytest.mark.parametrize("with_cpu_paths", [False, True])
def test_every_depthwise_convolution_in_3d_and_nothing_else(monkeypatch, with_cpu_paths):
    monkeypatch.delenv(VARIABLE, raising=False)
    network = accelerate(build(3)) if with_cpu_paths else build(3)
    keys = list(network.state_dict())
    use_depthwise_kernels(network)
    one_filter_each = [m for m in network.modules() if isinstance(m, nn.Conv3d) and m.groups > 1]
    assert convolutions(network) == one_filter_each != []
    assert list(network.state_dict()) == keys
    flat = build(2)
    use_depthwise_kernels(flat)
    assert not convolutions(flat)


@needs_triton
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_on_a_cpu_the_network_computes_what_it_did(monkeypatch, dtype):
    monkeypatch.delenv(VARIABLE, raising=False)
    network, x = build(3).to(dtype).eval(), batch(3, 2, dtype)
    expected = network(x)[0]
    use_depthwise_kernels(network)
    assert convolutions(network)
    torch.testing.assert_close(network(x)[0], expected)


def test_the_variable_leaves_them_to_pytorch_and_other_values_are_refused(monkeypatch):
    network = build(3)
    monkeypatch.setenv(VARIABLE, "pytorch")
    use_depthwise_kernels(network)
    assert not convolutions(network)
    monkeypatch.setenv(VARIABLE, "cudnn")
    with pytest.raises(ValueError, match="NNUNET_EAS_DEPTHWISE must be one of triton, pytorch, got cudnn"):
        use_depthwise_kernels(network)


def test_without_triton_nothing_changes(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    network = build(3)
    use_depthwise_kernels(network)
    assert not convolutions(network)


@needs_triton
def test_where_triton_starts_no_kernel_there_is_one_warning_and_pytorchs_result(monkeypatch):
    from nnunet_eas.gpu import depthwise_operators

    def fail(*arguments, **keywords):
        raise RuntimeError("Failed to find C compiler.\nSet CC.")

    monkeypatch.setattr(depthwise_operators, "faults", [])
    monkeypatch.setattr(depthwise_operators, "convolve", fail)
    x, weight = torch.randn(2, 3, 4, 5, 6, requires_grad=True), torch.randn(3, 1, 3, 1, 3, requires_grad=True)
    expected = nn.functional.conv3d(x, weight, None, 1, (2, 0, 1), (2, 1, 1), 3)
    with pytest.warns(UserWarning, match=r"cannot start a kernel: RuntimeError: Failed to find C compiler\."):
        found = depthwise_operators.depthwise_conv3d(x, weight, (2, 1, 1))
    gradients = torch.autograd.grad(found.square().sum(), (x, weight))  # without a second warning, which is an error
    torch.testing.assert_close(found, expected)
    for ours, theirs in zip(gradients, torch.autograd.grad(expected.square().sum(), (x, weight)), strict=True):
        torch.testing.assert_close(ours, theirs)


@needs_triton
def test_restored_it_is_pytorchs(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    network = accelerate(build(3))
    use_depthwise_kernels(network)
    assert {type(m) for m in restore(network).modules() if isinstance(m, nn.Conv3d)} == {nn.Conv3d}


@needs_triton
@pytest.mark.slow
@pytest.mark.parametrize(
    "what",
    [
        "cases",
        pytest.param(
            "compiled",  # by Inductor: minutes
            marks=pytest.mark.skipif("TEST_ALL_KERNELS" not in os.environ, reason="runs with TEST_ALL_KERNELS=1"),
        ),
    ],
)
def test_the_kernels_compute_what_pytorch_does(what):
    """Outputs and gradients in Triton's interpreter, with rates, tilings, number formats, and in a network."""
    script, tests = Path(__file__).with_name("interpreted_kernels.py"), Path(__file__).parents[1]
    variables = {**os.environ, "PYTHONPATH": str(tests)}
    completed = subprocess.run(
        [sys.executable, script, what], env=variables, capture_output=True, text=True, check=False
    )
    assert completed.returncode == 0, completed.stderr
    errors = json.loads(completed.stdout.splitlines()[-1])
    assert "network" in errors
    assert {name: max(found) for name, found in errors.items() if max(found) > MOST.get(name, 1e-5)} == {}


@needs_triton
def test_what_the_kernels_cannot_take_is_refused():
    from nnunet_eas.gpu.depthwise_operators import Tiling, convolve, depthwise_conv3d, faults, weight_gradient

    x, weight = torch.zeros(1, 2, 3, 4, 6), torch.zeros(2, 1, 3, 3, 3)
    once = (1, 1, 1)
    with pytest.raises(ValueError, match=r"weight must have the shape \(2, 1, kd, kh, kw\), got \(1, 1, 3, 3, 3\)"):
        convolve(x, weight[:1], once)
    with pytest.raises(ValueError, match=r"weight must have three odd edges, got \(3, 3, 2\)"):
        convolve(x, weight[..., :2], once)
    with pytest.raises(TypeError, match=r"of x, torch.float32 on cpu, got torch.float16 on cpu"):
        convolve(x, weight.half(), once)
    with pytest.raises(TypeError, match=r"x must be float16, bfloat16 or float32, got torch.float64"):
        convolve(x.double(), weight.double(), once)
    with pytest.raises(ValueError, match=r"x must have five axes \(B, C, D, H, W\), got \(2, 3, 4, 6\)"):
        convolve(x[0], weight, once)
    with pytest.raises(ValueError, match=r"dilation must be three numbers of at least 1, got \(0, 1, 1\)"):
        convolve(x, weight, (0, 1, 1))
    with pytest.raises(ValueError, match=r"vector must divide the width 6, got 4"):
        convolve(x, weight, once, tiling=Tiling(32, 4, 3, 1))
    with pytest.raises(ValueError, match=r"grad must have x's shape and number format"):
        weight_gradient(x[:, :1], x, (3, 3, 3), once)
    with pytest.raises(TypeError, match=r"weight must have the number format"):
        depthwise_conv3d(x, weight.half(), once)
    assert faults == []  # other maps still go to the kernels
    assert convolve(x[:0], weight, once).shape == (0, 2, 3, 4, 6)


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("dilation", [(1, 1, 1), (3, 2, 1), (12, 2, 2)])
@pytest.mark.parametrize("shape", [(2, 5, 20, 48, 40), (1, 3, 9, 31, 45), (1, 2, 24, 128, 96)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_on_a_gpu_they_compute_what_pytorch_does(shape, dilation, dtype):
    from nnunet_eas.gpu.depthwise_operators import depthwise_conv3d

    torch.manual_seed(0)
    x, grad = torch.randn(2, *shape, dtype=dtype, device="cuda")
    weight = torch.randn(shape[1], 1, 3, 3, 3, dtype=dtype, device="cuda")
    exact = [tensor.double().requires_grad_() for tensor in (x, weight)]
    expected = nn.functional.conv3d(*exact, None, 1, dilation, dilation, shape[1])
    gradients = torch.autograd.grad(expected, exact, grad.double())
    y = depthwise_conv3d(x.requires_grad_(), weight.requires_grad_(), dilation)
    for ours, theirs in zip([y, *torch.autograd.grad(y, (x, weight), grad)], [expected, *gradients], strict=True):
        most = {torch.float32: 1e-5, torch.float16: 1e-3, torch.bfloat16: 1e-2}[dtype]
        assert (ours.double() - theirs).abs().max() <= most * theirs.abs().max()
