"""Engines that run a trained network: PyTorch, or OpenVINO on a CPU."""

from __future__ import annotations

import importlib.util
import math
import time
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from nnunet_eas.inference.batched_predictor import Forward
from nnunet_eas.inference.quiet import quiet
from nnunet_eas.inference.trained_model import TrainedModel
from nnunet_eas.inference.verification import Agreement, Precision, compare

Engine = Literal["auto", "torch", "openvino", "openvino-bf16"]
PASSES = 3
"""Passes that are timed to find the faster engine; the first one is not counted."""

WORTH_A_GRAPH = 15.0
"""Seconds of PyTorch's passes. Making a fold's graph takes about eight, and it then halves what is left."""

VOXELS_AT_ONCE = 2**17
"""Voxels in a pass of OpenVINO at most: larger batches leave the caches, so that an image takes longer."""


def forwards_of(
    model: TrainedModel, device: torch.device, engine: Engine, images: float = math.inf
) -> tuple[list[Forward], str]:
    """A forward pass for each fold, and the name of the engine that runs it.

    "auto" takes OpenVINO where it is installed, the device is the CPU, there is enough to predict, it gives PyTorch's
    labels, and a pass takes less time than PyTorch's: with bfloat16 where the CPU computes with it, or else in single
    precision. PyTorch otherwise.

    Args:
        model: The folds' networks.
        device: Where patches and logits are.
        engine: "auto" or the name of one.
        images: The number of patches and mirrored views that are to be predicted.

    Raises:
        ModuleNotFoundError: OpenVINO is asked for and not installed.
        ValueError: OpenVINO is asked for and gives other labels than PyTorch, or the device is not the CPU.
    """
    in_torch = [_torch_forward(network, device) for network in model.networks]
    if engine == "torch" or (engine == "auto" and (device.type != "cpu" or not _has_openvino())):
        return in_torch, f"PyTorch on {device.type}"
    if device.type != "cpu":
        raise ValueError(f"engine (--engine) {engine} must run on the CPU, got {device.type}. Give -device cpu.")
    if not _has_openvino():
        raise ModuleNotFoundError(f"engine (--engine) {engine} needs OpenVINO, got none. Install nnunet-eas[export].")
    seconds_of_torch = _seconds(in_torch[0], model) if engine == "auto" else math.inf
    if images * seconds_of_torch < WORTH_A_GRAPH:
        return in_torch, "PyTorch on the CPU, as there is too little to predict to start OpenVINO"
    graphs = [_openvino_graph(network, model) for network in model.networks]
    of_engine: dict[Engine, list[Precision]] = {"openvino": ["f32"], "openvino-bf16": ["bf16"]}
    reason = ""
    for precision in of_engine.get(engine) or _precisions():
        in_openvino = [_openvino_forward(graph, precision) for graph in graphs]
        agreement = _agreement(in_openvino[0], model)
        if not agreement.is_good(precision):
            reason = f"as OpenVINO does not agree ({agreement})"
        elif engine != "auto" or _seconds(in_openvino[0], model) < seconds_of_torch:
            return in_openvino, f"OpenVINO on the CPU, {precision} ({agreement})"
        else:
            reason = "which is faster than OpenVINO here"
    if engine != "auto":
        raise ValueError(f"engine (--engine) {engine} must give PyTorch's labels, got {agreement}. Give torch.")
    return in_torch, f"PyTorch on the CPU, {reason}"


def _has_openvino() -> bool:
    from nnunet_eas.inference.openvino_graph import NEEDS

    return all(importlib.util.find_spec(name) is not None for name in NEEDS)


def _torch_forward(network: nn.Module, device: torch.device) -> Forward:
    """The network on the device: the one place where a network is prepared for prediction."""
    return network.to(device).eval()


def _precisions() -> list[Precision]:
    """OpenVINO's precisions on this CPU, the fastest first."""
    from nnunet_eas.inference.openvino_graph import has_bf16

    return ["bf16", "f32"] if has_bf16() else ["f32"]


def _openvino_graph(network: nn.Module, model: TrainedModel) -> Any:
    from nnunet_eas.inference import openvino_graph

    with quiet():
        return openvino_graph.convert(network, model.input_channels, model.patch_size)


def _openvino_forward(graph: Any, precision: Precision) -> Forward:
    from nnunet_eas.inference.openvino_graph import compiled

    run = compiled(graph, precision)

    def forward(patches: torch.Tensor) -> torch.Tensor:
        batches = patches.split(max(1, VOXELS_AT_ONCE // patches[0, 0].numel()))
        return torch.cat([torch.from_numpy(run(batch.numpy())) for batch in batches])

    return forward


def _agreement(forward: Forward, model: TrainedModel) -> Agreement:
    with torch.inference_mode():
        return compare(
            lambda image: forward(torch.from_numpy(image)).numpy(),
            model.networks[0],
            model.label_manager,
            input_channels=model.input_channels,
            patch_size=model.patch_size,
        )


def _seconds(forward: Callable[[torch.Tensor], torch.Tensor], model: TrainedModel) -> float:
    """The time of the quickest pass of one image: whatever else the machine does only adds to it."""
    shape = (1, model.input_channels, *model.patch_size)
    patches = torch.from_numpy(np.random.default_rng(0).standard_normal(shape, dtype=np.float32))
    times = []
    with torch.inference_mode():
        for _ in range(PASSES):
            start = time.perf_counter()
            forward(patches)
            times.append(time.perf_counter() - start)
    return min(times[1:])
