"""The least time that this machine could take for the networks' stages, beside the time that it takes.

A stage's floor is the longer of two times: its FLOPs over the machine's matrix rate, and its bytes over the machine's
bandwidth, where each convolution block reads its input once and writes its output once. Both rates are measured here.
"""

from __future__ import annotations

import statistics
from typing import Any

import torch
from dynamic_network_architectures.building_blocks.simple_conv_blocks import ConvDropoutNormReLU
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.speed.knee_plan import architectures, build
from benchmarks.speed.measured import seconds
from nnunet_eas.cpu import accelerate
from nnunet_eas.network.blocks import ConvNormNonlin, DepthwiseSeparableConv

BLOCKS = (ConvDropoutNormReLU, ConvNormNonlin, DepthwiseSeparableConv)
REPEATS = 5


def floor(device: torch.device, patch_size: list[int]) -> dict[str, Any]:
    """Rates of the machine, and for each network's stages the seconds of a forward pass, their floor and the ratio.

    Args:
        device: The device to measure.
        patch_size: The 2-D patch, in voxels.
    """
    rates = {"flops_per_second": matrix_rate(device), "bytes_per_second": bandwidth(device)}
    stages = {
        name: of_stages(accelerate(build(architecture)).to(device).eval(), patch_size, device, rates)
        for name, architecture in architectures("2d", patch_size).items()
    }
    return {**rates, "patch_size": patch_size, "stages": stages}


def of_stages(
    network: nn.Module, patch_size: list[int], device: torch.device, rates: dict[str, float]
) -> list[dict[str, Any]]:
    """A row for each stage of encoder and decoder, in the order in which they run."""
    stages = {f"encoder {i}": stage for i, stage in enumerate(network.encoder.stages)}
    stages |= {f"decoder {i}": stage for i, stage in enumerate(network.decoder.stages)}
    inputs: dict[str, tuple[torch.Tensor, ...]] = {}
    handles = [
        stage.register_forward_pre_hook(lambda _, given, name=name: inputs.__setitem__(name, given))
        for name, stage in stages.items()
    ]
    rows = []
    with torch.inference_mode():
        network(torch.randn(1, 1, *patch_size, device=device))
        for handle in handles:
            handle.remove()
        for name, stage in stages.items():
            with FlopCounterMode(display=False) as counter:
                moved = bytes_moved(stage, inputs[name])
            taken = _median_seconds(lambda stage=stage, name=name: stage(*inputs[name]), device)
            of_flops = counter.get_total_flops() / rates["flops_per_second"]
            of_bytes = moved / rates["bytes_per_second"]
            rows.append(
                {
                    "stage": name,
                    "seconds": taken,
                    "floor_seconds": max(of_flops, of_bytes),
                    "bound_by": "arithmetic" if of_flops > of_bytes else "memory",
                    "times_the_floor": taken / max(of_flops, of_bytes),
                }
            )
    return rows


def matrix_rate(device: torch.device, edge: int = 1024) -> float:
    """FLOPs a second of a large matrix product in single precision."""
    a, b = torch.randn(edge, edge, device=device), torch.randn(edge, edge, device=device)
    return 2 * edge**3 / _median_seconds(lambda: a @ b, device)


def bandwidth(device: torch.device, megabytes: int = 256) -> float:
    """Bytes a second of a copy, which reads and writes each byte."""
    source = torch.randn(megabytes * 2**18, device=device)
    target = torch.empty_like(source)
    return 2 * source.numel() * source.element_size() / _median_seconds(lambda: target.copy_(source), device)


def bytes_moved(stage: nn.Module, maps: tuple[torch.Tensor, ...]) -> int:
    """Bytes of the input and the output of every outermost block of a stage."""
    moved = 0

    def count(_: nn.Module, given: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal moved
        moved += sum(tensor.numel() * tensor.element_size() for tensor in (given[0], output))

    blocks = [module for module in stage.modules() if isinstance(module, BLOCKS)]
    inner = {part for block in blocks for part in block.modules() if part is not block}
    handles = [block.register_forward_hook(count) for block in blocks if block not in inner]
    stage(*maps)
    for handle in handles:
        handle.remove()
    return moved


def _median_seconds(action: Any, device: torch.device) -> float:
    """The median of all calls but the first."""
    return statistics.median([seconds(action, device) for _ in range(REPEATS + 1)][1:])
