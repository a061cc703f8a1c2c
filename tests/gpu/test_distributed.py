"""Two processes under DDP, compiled and recomputing, against one process with the whole batch."""

import os

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from tiny_networks import batch, build
from torch.distributed.nn.functional import all_reduce
from torch.nn.modules.batchnorm import SyncBatchNorm, _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from nnunet_eas.gpu import checkpoint_stages, recompute

pytestmark = pytest.mark.slow  # both processes import PyTorch

RANKS = 2
CASES = {
    "2-D eager": (2, "batch", False),
    "2-D compiled": (2, "batch", True),
    "3-D eager": (3, "batch", False),
}
if "TEST_ALL_KERNELS" in os.environ:
    CASES |= {"3-D compiled": (3, "batch", True), "3-D compiled, the paper's norm": (3, "instance", True)}


class SyncNormOfCpu(_BatchNorm):
    """A stand-in for SyncBatchNorm, which PyTorch has for GPUs alone."""

    def forward(self, x):
        axes = [0, *range(2, x.ndim)]
        sums = all_reduce(torch.stack([x.sum(axes), (x * x).sum(axes)])) / (RANKS * x.numel() / x.shape[1])
        mean, variance = sums[0], sums[1] - sums[0] ** 2
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance, self.momentum)
        shape = [1, -1, *[1] * (x.ndim - 2)]
        normalised = (x - mean.reshape(shape)) * (variance + self.eps).rsqrt().reshape(shape)
        return normalised * self.weight.reshape(shape) + self.bias.reshape(shape)


def with_stand_ins(network):
    """The network with every SyncBatchNorm, as nnU-Net puts it in place, replaced by its stand-in."""
    for module in network.modules():
        if isinstance(module, SyncBatchNorm):
            module.__class__ = SyncNormOfCpu
    return network


def loss(outputs):
    return sum(
        (o * torch.linspace(-1, 1, o[0].numel(), dtype=o.dtype).sin().reshape(o.shape[1:])).sum() for o in outputs
    )


def network_and_images(dim, norm):
    torch.manual_seed(0)
    return build(dim, norm, shortcut=True, eas_first_scale=0.1).double(), batch(dim, 2 * RANKS, torch.float64)


def train(rank, folder):
    """One process: a step of every case, whose gradients the first process writes."""
    torch.set_num_threads(1)
    recompute.SyncBatchNorm = SyncNormOfCpu  # the norm that PyTorch's compiler leaves to Python
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=RANKS)
    for case, (dim, norm, compiled) in CASES.items():
        network, images = network_and_images(dim, norm)
        checkpoint_stages(network)
        if compiled:
            network = torch.compile(network, backend="aot_eager")
        network = DistributedDataParallel(with_stand_ins(SyncBatchNorm.convert_sync_batchnorm(network)))
        loss(network(images[2 * rank : 2 * rank + 2])).backward()
        if rank == 0:
            found = {name: p.grad * RANKS for name, p in network.named_parameters()}
            found |= {name: buffer for name, buffer in network.named_buffers() if "running_mean" in name}
            plain = {name.replace("module.", "").replace("_orig_mod.", ""): value for name, value in found.items()}
            torch.save(plain, folder / f"{case}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Per case, the gradients and the running means after one step."""
    folder = tmp_path_factory.mktemp("found")
    mp.spawn(train, (folder,), nprocs=RANKS)
    return {case: torch.load(folder / f"{case}.pt") for case in CASES}


@pytest.mark.parametrize("case", CASES)
def test_a_step_is_that_of_the_whole_batch(found, case):
    dim, norm, _ = CASES[case]
    network, images = network_and_images(dim, norm)
    loss(network(images)).backward()
    assert any(isinstance(module, _BatchNorm) for module in network.modules()) == (norm == "batch")
    expected = {name: parameter.grad for name, parameter in network.named_parameters()}
    expected |= {name: buffer for name, buffer in network.named_buffers() if "running_mean" in name}
    torch.testing.assert_close(found[case], expected, rtol=1e-8, atol=1e-8)
