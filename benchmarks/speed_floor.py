"""How fast this machine could run the networks' stages at best, and how fast it does.

A stage's floor is the longer of two times: its FLOPs over the machine's matrix rate, and its bytes over the machine's
bandwidth, where each convolution block reads its input once and writes its output once. Both rates are measured here.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet
from dynamic_network_architectures.building_blocks.simple_conv_blocks import ConvDropoutNormReLU
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from nnunet_eas.network.blocks import ConvNormNonlin, DepthwiseSeparableConv
from nnunet_eas.network.eas_unet import EASUNet
from nnunet_eas.plans.translation import dilation_rates

BLOCKS = (ConvDropoutNormReLU, ConvNormNonlin, DepthwiseSeparableConv)
REPEATS = 5


def floor(device: torch.device, patch_size: list[int]) -> dict[str, Any]:
    """Rates of the machine, and of each network's stages: seconds of a forward pass, floor, and how far apart they are.

    Args:
        device: Where.
        patch_size: Of one 2-D image; seven stages.
    """
    rates = {"flops_per_second": matrix_rate(device), "bytes_per_second": bandwidth(device)}
    stages = {name: of_stages(network, patch_size, device, rates) for name, network in networks(patch_size).items()}
    return {**rates, "patch_size": patch_size, "stages": stages}


def networks(patch_size: list[int]) -> dict[str, nn.Module]:
    """Both networks of nnU-Net's plan for this patch."""
    strides = [[1, 1]] + [[2, 2]] * 6
    shared: dict[str, Any] = {
        "input_channels": 1,
        "n_stages": 7,
        "features_per_stage": [min(32 * 2**i, 512) for i in range(7)],
        "conv_op": nn.Conv2d,
        "kernel_sizes": [[3, 3]] * 7,
        "strides": strides,
        "n_conv_per_stage": [2] * 7,
        "num_classes": 3,
        "n_conv_per_stage_decoder": [2] * 6,
        "conv_bias": True,
        "norm_op_kwargs": {"affine": True},
        "nonlin": nn.LeakyReLU,
    }
    rates = dilation_rates([edge // 64 for edge in patch_size])
    return {
        "default": PlainConvUNet(**shared, norm_op=nn.InstanceNorm2d).eval(),
        "eas": EASUNet(**shared, norm_op=nn.BatchNorm2d, dilations=rates).eval(),
    }


def of_stages(
    network: nn.Module, patch_size: list[int], device: torch.device, rates: dict[str, float]
) -> list[dict[str, Any]]:
    """Per stage of encoder and decoder, in the order in which they run."""
    network = network.to(device)
    image = torch.randn(1, 1, *patch_size, device=device)
    watched = [(f"encoder {i}", stage) for i, stage in enumerate(network.encoder.stages)]
    watched += [(f"decoder {i}", stage) for i, stage in enumerate(network.decoder.stages)]
    inputs: dict[str, tuple[torch.Tensor, ...]] = {}
    handles = [
        stage.register_forward_pre_hook(lambda _, given, name=name: inputs.__setitem__(name, given))
        for name, stage in watched
    ]
    with torch.inference_mode():
        network(image)
        for handle in handles:
            handle.remove()
        rows = []
        for name, stage in watched:
            with FlopCounterMode(display=False) as counter:
                bytes_moved = _bytes(stage, inputs[name])
            seconds = _seconds(lambda stage=stage, name=name: stage(*inputs[name]), device)
            of_flops = counter.get_total_flops() / rates["flops_per_second"]
            of_bytes = bytes_moved / rates["bytes_per_second"]
            rows.append(
                {
                    "stage": name,
                    "seconds": seconds,
                    "floor_seconds": max(of_flops, of_bytes),
                    "bound_by": "arithmetic" if of_flops > of_bytes else "memory",
                    "times_the_floor": seconds / max(of_flops, of_bytes),
                }
            )
    return rows


def matrix_rate(device: torch.device, edge: int = 1024) -> float:
    """FLOPs a second of a large matrix product in single precision."""
    a, b = torch.randn(edge, edge, device=device), torch.randn(edge, edge, device=device)
    return 2 * edge**3 / _seconds(lambda: a @ b, device)


def bandwidth(device: torch.device, megabytes: int = 256) -> float:
    """Bytes a second of a copy, which reads and writes each."""
    source = torch.randn(megabytes * 2**18, device=device)
    target = torch.empty_like(source)
    return 2 * source.numel() * source.element_size() / _seconds(lambda: target.copy_(source), device)


def _bytes(stage: nn.Module, maps: tuple[torch.Tensor, ...]) -> int:
    """In and out of every block, once each."""
    moved = 0

    def count(_: nn.Module, given: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal moved
        moved += sum(tensor.numel() * tensor.element_size() for tensor in (given[0], output))

    blocks = [module for module in stage.modules() if isinstance(module, BLOCKS)]
    parts = {part for block in blocks for part in block.modules() if part is not block}
    handles = [block.register_forward_hook(count) for block in blocks if block not in parts]
    stage(*maps)
    for handle in handles:
        handle.remove()
    return moved


def _seconds(action: Any, device: torch.device) -> float:
    times = []
    for _ in range(REPEATS + 1):
        start = time.perf_counter()
        action()
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])
