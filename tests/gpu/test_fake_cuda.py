"""CUDA tensors without data: devices, layouts and operations of a pass, seen without a GPU."""

import importlib.util

import pytest
import torch
from tiny_networks import batch, build
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode

from nnunet_eas.cpu import accelerate
from nnunet_eas.gpu import checkpoint_stages, lay_out, use_depthwise_kernels
from nnunet_eas.gpu.layout import VARIABLE

CUDA = torch.device("cuda", 0)


class Operations(TorchDispatchMode):
    """The names of all operations, and the maps that convolutions get."""

    def __init__(self):
        super().__init__()
        self.names, self.convolved = set(), []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.add(str(func))
        if func is torch.ops.aten.convolution.default and args[0].ndim > 3:  # not ECA's
            self.convolved.append(args[0])
        return func(*args, **(kwargs or {}))


def forward(dim, norm, *, training, recompute):
    """Operations and outputs of a forward pass of the network as the trainer builds it for CUDA."""
    network = accelerate(build(dim, norm)).train(training)
    lay_out(network, CUDA)
    use_depthwise_kernels(network)
    if recompute:
        checkpoint_stages(network)
    tensors = {name: tensor.detach() for name, tensor in network.state_dict(keep_vars=True).items()}
    weights = dict(network.named_parameters())
    x = batch(dim, 2)
    with FakeTensorMode() as mode:
        on_cuda = {n: mode.from_tensor(t).to(CUDA).requires_grad_(n in weights) for n, t in tensors.items()}
        x = mode.from_tensor(x).to(CUDA)
        with torch.set_grad_enabled(training), Operations() as operations:
            outputs = functional_call(network, on_cuda, (x,))
    return operations, outputs


@pytest.mark.parametrize(("dim", "norm"), [(2, "batch"), (3, "batch"), (3, "instance")])
@pytest.mark.parametrize(("training", "recompute"), [(False, False), (True, False), (True, True)])
def test_a_pass_stays_on_the_device_and_in_its_layout(monkeypatch, dim, norm, training, recompute):
    monkeypatch.delenv(VARIABLE, raising=False)
    operations, outputs = forward(dim, norm, training=training, recompute=recompute)
    assert all(output.device == CUDA for output in outputs)
    assert not [name for name in operations.names if "mkldnn" in name or "onednn" in name]
    assert operations.convolved
    kernels = "nnunet_eas.depthwise_conv3d.default" in operations.names
    assert kernels == (dim == 3 and importlib.util.find_spec("triton") is not None)
    assert all(x.device == CUDA for x in operations.convolved)
    layout = torch.channels_last if dim == 2 else torch.contiguous_format
    assert [x.shape for x in operations.convolved if not x.is_contiguous(memory_format=layout)] == []
