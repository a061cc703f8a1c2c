"""Runs the depthwise kernels in Triton's interpreter, and prints how far they are from PyTorch's convolution.

A process of its own: Triton looks at TRITON_INTERPRET when it is imported.
"""

import json
import os
import sys

os.environ["TRITON_INTERPRET"] = "1"

import torch
from torch.nn import functional as F

from nnunet_eas.gpu import checkpoint_stages, depthwise, lay_out, use_depthwise_kernels
from nnunet_eas.gpu.depthwise_operators import Tiling, convolve, depthwise_conv3d, weight_gradient

BASE = (2, 2, 3, 4, 8)  # B, C, D, H, W
CASES = {
    "rates": {"dilation": (1, 2, 3)},
    "flat kernel": {"kernel": (1, 3, 3)},
    "width that no vector divides": {"shape": (1, 1, 2, 3, 5)},
    "one voxel": {"shape": (1, 2, 1, 1, 1), "dilation": (2, 2, 2)},
    "smaller than the rate": {"shape": (1, 2, 2, 3, 4), "dilation": (3, 4, 5)},
    "half": {"dtype": torch.float16},
    "bfloat16": {"dtype": torch.bfloat16},
    "many tiles, walks and chunks": {"shape": (1, 2, 5, 5, 8), "dilation": (2, 2, 1), "tiling": Tiling(8, 4, 2, 1, 3)},
    "widest vector": {"shape": (1, 2, 3, 2, 16), "tiling": Tiling(16, 8, 2, 1, 3)},
    "strided maps": {"strided": True},
}


def errors(shape=BASE, kernel=(3, 3, 3), dilation=(1, 1, 1), dtype=torch.float32, tiling=None, strided=False):
    """The largest relative differences of the output and of both gradients."""
    torch.manual_seed(0)
    x, grad = torch.randn(2, *shape, dtype=dtype)
    weight = torch.randn(shape[1], 1, *kernel, dtype=dtype)
    if strided:
        x = x.contiguous(memory_format=torch.channels_last_3d)
        grad = torch.randn(*shape[:2], 1, 1, 1).expand(shape)
    exact = [tensor.double().requires_grad_() for tensor in (x, weight)]
    padding = [rate * (edge // 2) for rate, edge in zip(dilation, kernel, strict=True)]
    expected = F.conv3d(*exact, None, 1, padding, dilation, shape[1])
    expected = [expected, *torch.autograd.grad(expected, exact, grad.double())]
    if tiling is None:
        x, weight = x.requires_grad_(), weight.requires_grad_()
        y = depthwise_conv3d(x, weight, dilation)
        found = [y, *torch.autograd.grad(y, (x, weight), grad)]
    else:
        found = [convolve(x, weight, dilation, tiling=tiling), convolve(grad, weight, dilation, True, tiling)]
        found.append(weight_gradient(grad, x, kernel, dilation, tiling))
    assert all(tensor.dtype == dtype for tensor in found)
    return [relative(*pair) for pair in zip(found, expected, strict=True)]


def relative(found, expected):
    return ((found.double() - expected).abs().max() / expected.abs().max()).item()


def errors_of_network(compiled):
    """The same for a network's output, and the gradients of its input and of each depthwise convolution."""
    from tiny_networks import batch, build

    depthwise.has_kernels = lambda x: x.is_contiguous()
    results = []
    for ours in (False, True):
        torch.manual_seed(0)
        network = build(
            3,
            n_stages=2,
            features_per_stage=[2, 3],
            n_conv_per_stage=[1, 1],
            n_conv_per_stage_decoder=[1],
            kernel_sizes=[[1, 3, 3], [3, 3, 3]],
            strides=[[1, 1, 1], [1, 2, 2]],
            dilations=[[1, 2, 1]],
        )
        lay_out(network, torch.device("cuda"))
        if ours:
            use_depthwise_kernels(network)
            checkpoint_stages(network)
        convolutions = [m for m in network.modules() if isinstance(m, depthwise.CudaDepthwiseConv3d)]
        assert bool(convolutions) == ours
        x = batch(3, 2, torch.float32).requires_grad_()
        run = torch.compile(network) if compiled and ours else network
        outputs = run(x)
        sum(y.square().mean() for y in outputs).backward()
        results.append([outputs[0], x.grad, *(p.grad for p in network.parameters() if p.shape[1:2] == (1,))])
    return [relative(found, expected.double()) for expected, found in zip(*results, strict=True)]


if __name__ == "__main__":
    if sys.argv[1] == "cases":
        names = CASES if "TEST_ALL_KERNELS" in os.environ else ("rates", "half", "bfloat16", "widest vector")
        found = {name: errors(**CASES[name]) for name in names}
        print(json.dumps({**found, "network": errors_of_network(compiled=False)}))
    else:
        print(json.dumps({"network": errors_of_network(compiled=True)}))
