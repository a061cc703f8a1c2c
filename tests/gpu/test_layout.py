"""The layout that a device gets, and that it changes no number."""

import pytest
import torch
from tiny_networks import batch, build
from torch import nn

from nnunet_eas.gpu import lay_out
from nnunet_eas.gpu.layout import VARIABLE

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
LAST = {2: torch.channels_last, 3: torch.channels_last_3d}


def is_laid_out(network, memory_format):
    weights = [p for p in network.parameters() if p.ndim > 1 and p.shape[1] > 1 and p[0, 0].numel() > 1]
    return network.memory_format == memory_format and all(w.is_contiguous(memory_format=memory_format) for w in weights)


@pytest.mark.parametrize(
    ("dim", "device", "named", "expected"),
    [
        (2, CPU, None, "last"),
        (3, CPU, None, "last"),
        (2, CUDA, None, "last"),
        (3, CUDA, None, "contiguous"),
        (3, CUDA, "channels-last", "last"),
        (2, CUDA, "contiguous", "contiguous"),
        (3, CPU, "contiguous", "contiguous"),
    ],
)
def test_the_device_decides_unless_the_variable_does(monkeypatch, dim, device, named, expected):
    monkeypatch.delenv(VARIABLE, raising=False)
    if named:
        monkeypatch.setenv(VARIABLE, named)
    network = build(dim)
    lay_out(network, device)
    assert is_laid_out(network, torch.contiguous_format if expected == "contiguous" else LAST[dim])
    monkeypatch.delenv(VARIABLE, raising=False)
    lay_out(network, CPU)  # and back
    assert is_laid_out(network, LAST[dim])


@pytest.mark.parametrize("dim", [2, 3])
def test_the_network_computes_the_same(monkeypatch, dim):
    monkeypatch.setenv(VARIABLE, "contiguous")
    network, x = build(dim).double().eval(), batch(dim, 2, torch.float64)
    expected = network(x)[0]
    keys = list(network.state_dict())
    lay_out(network, CPU)
    assert list(network.state_dict()) == keys
    torch.testing.assert_close(network(x)[0], expected, rtol=1e-10, atol=1e-10)


def test_other_networks_stay_and_other_layouts_are_refused(monkeypatch):
    lay_out(nn.Conv2d(3, 3, 3), CUDA)
    monkeypatch.setenv(VARIABLE, "nhwc")
    with pytest.raises(ValueError, match="NNUNET_EAS_LAYOUT must be one of channels-last, contiguous, got nhwc"):
        lay_out(build(2), CPU)
