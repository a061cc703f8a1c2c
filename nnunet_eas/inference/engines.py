"""Engines that run a trained network: PyTorch, or OpenVINO on a CPU."""

from __future__ import annotations

import copy
import importlib.util
import math
import time
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from nnunet_eas.gpu import fold_batch_norms, lay_out
from nnunet_eas.inference import openvino_graph
from nnunet_eas.inference.batched_predictor import Forward
from nnunet_eas.inference.trained_model import TrainedModel
from nnunet_eas.inference.verification import Precision, compare

Engine = Literal["auto", "torch", "openvino", "openvino-bf16"]
PASSES = 3  # that are timed to find the faster engine; the first one is not counted
WORTH_A_GRAPH = 15.0  # seconds of PyTorch's passes: making a fold's graph takes about eight, then it halves the rest
VOXELS_AT_ONCE = 2**17  # in a pass of OpenVINO: larger batches leave the caches, so that an image takes longer


def forwards_of(
    model: TrainedModel, device: torch.device, engine: Engine, images: float = math.inf
) -> tuple[list[Forward], str]:
    """A forward pass for each fold, to predict so many patches and mirrored views, and the name of its engine.

    "auto" takes OpenVINO where it is installed, the device is the CPU, there is enough to predict, it gives PyTorch's
    labels, and a pass takes less time than PyTorch's: with bfloat16 where the CPU computes with it, or else in single
    precision. PyTorch otherwise. Another engine that can't be had is an error.
    """
    in_torch: list[Forward] = [_on_device(network, device) for network in model.networks]
    if engine == "torch" or (engine == "auto" and (device.type != "cpu" or not _has_openvino())):
        return in_torch, f"PyTorch on {device.type}"
    if device.type != "cpu":
        raise ValueError(f"engine (--engine) {engine} must run on the CPU, got {device.type}. Give -device cpu.")
    if not _has_openvino():
        raise ModuleNotFoundError(
            f'engine (--engine) {engine} needs OpenVINO, got none. In the source folder: pip install ".[export]".'
        )
    seconds_of_torch = _seconds(in_torch[0], model) if engine == "auto" else math.inf
    if images * seconds_of_torch < WORTH_A_GRAPH:
        return in_torch, "PyTorch on the CPU, as there is too little to predict to start OpenVINO"
    graphs = [openvino_graph.convert(network, model.image_shape) for network in model.networks]
    of_engine: dict[Engine, list[Precision]] = {"openvino": ["f32"], "openvino-bf16": ["bf16"]}
    of_cpu: list[Precision] = ["bf16", "f32"] if openvino_graph.has_bf16() else ["f32"]
    for precision in of_engine.get(engine, of_cpu):
        in_openvino = [_openvino_forward(graph, precision) for graph in graphs]
        agreement = compare(partial(_on_array, in_openvino[0]), model.networks[0], model)
        if not agreement.is_good(precision):
            reason = f"as OpenVINO does not agree ({agreement})"
        elif engine != "auto" or _seconds(in_openvino[0], model) < seconds_of_torch:
            return in_openvino, f"OpenVINO on the CPU, {precision} ({agreement})"
        else:
            reason = "which is faster than OpenVINO here"
    if engine != "auto":
        raise ValueError(f"engine (--engine) {engine} must give PyTorch's labels, got {agreement}. Give torch.")
    return in_torch, f"PyTorch on the CPU, {reason}"


def _on_device(network: nn.Module, device: torch.device) -> nn.Module:
    """The network, ready to predict; on a GPU a copy without batch norms."""
    if device.type == "cpu":
        lay_out(network, device)  # it was built for the GPU where there is one
        return network.eval()
    network = copy.deepcopy(network).eval()
    fold_batch_norms(network)
    network = network.to(device)
    lay_out(network, device)
    return network


def _has_openvino() -> bool:
    return all(importlib.util.find_spec(name) is not None for name in openvino_graph.NEEDS)


def _openvino_forward(graph: Any, precision: Precision) -> Forward:
    run = openvino_graph.compiled(graph, precision)

    def forward(patches: torch.Tensor) -> torch.Tensor:
        batches = patches.split(max(1, VOXELS_AT_ONCE // patches[0, 0].numel()))
        return torch.cat([torch.from_numpy(run(batch.numpy())) for batch in batches])

    return forward


def _on_array(forward: Forward, image: np.ndarray) -> np.ndarray:
    return forward(torch.from_numpy(image)).numpy()


def _seconds(forward: Forward, model: TrainedModel) -> float:
    """The time of the quickest pass of one image: whatever else the machine does only adds to it."""
    patches = torch.from_numpy(np.random.default_rng(0).standard_normal((1, *model.image_shape), dtype=np.float32))
    times = []
    with torch.inference_mode():
        for _ in range(PASSES):
            start = time.perf_counter()
            forward(patches)
            times.append(time.perf_counter() - start)
    return min(times[1:])
