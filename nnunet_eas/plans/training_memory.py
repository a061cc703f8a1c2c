"""Bytes that a training step of nnU-Net's trainer holds, counted without holding them.

One step is run on the meta device, where tensors have shapes and no data, and every allocation is noted. The batch and
the edges of the coarsest map of that step are prime numbers, so that the size of an allocation tells whether it grows
with the batch and with the patch. One run of a topology hence gives the memory for every batch and patch.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from nnunetv2.training.loss.compound_losses import DC_and_BCE_loss, DC_and_CE_loss
from nnunetv2.training.loss.deep_supervision import DeepSupervisionWrapper
from nnunetv2.training.loss.dice import MemoryEfficientSoftDiceLoss
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
from torch import nn

from nnunet_eas.gpu import checkpoint_stages
from nnunet_eas.plans.allocations import Allocations, autocast
from nnunet_eas.plans.translation import bottleneck_edges

# batch and edges of the coarsest map; no number of channels is a multiple of the batch, or of all edges
PRIME_BATCH = 10007
PRIME_EDGES = {2: (101, 103), 3: (11, 13, 17)}


@dataclass(frozen=True)
class StepMemory:
    """Bytes of one training step."""

    weights: int  # parameters and buffers
    gradients: int  # of all parameters, at the end of the backward pass
    momentum: int  # the optimiser's
    activations: int  # made by the forward pass and the loss, and still held at their end; grow with batch and patch
    peak: int  # the most that is alive at a moment, all of the above as far as it is alive then


class TrainingStep:
    """Allocations of a training step, for every batch and patch of one topology.

    Forward pass, nnU-Net's loss with deep supervision, backward pass and SGD with momentum are nnU-Net's; its gradient
    clipping takes one number per parameter and is left out. Half precision is autocast's: convolutions and their
    outputs in half; norms' parameters, logits in the loss, weights, gradients and momentum in single.

    The workspaces of libraries (cuDNN) and the gaps between an allocator's blocks are not counted. A compiled step
    keeps less than an eager one. `precision` torch.float32 is no autocast, as on the CPU; a training with regions has
    binary cross entropy and one target map for each region. With `recompute` the stages of an EAS U-Net are
    checkpointed, as `nnunet_eas.gpu.checkpoint_stages` does.
    """

    def __init__(
        self,
        architecture: Mapping[str, Any],
        input_channels: int,
        num_outputs: int,
        has_regions: bool,
        precision: torch.dtype,
        recompute: bool,
    ) -> None:
        self._strides = architecture["arch_kwargs"]["strides"]
        network = network_on_meta(architecture, input_channels, num_outputs, deep_supervision=len(self._strides) > 2)
        if recompute:
            checkpoint_stages(network)
        parameters = list(network.parameters())
        optimizer = torch.optim.SGD(parameters, 0.01, momentum=0.99, nesterov=True, weight_decay=3e-5, foreach=True)
        momentum = [torch.empty_like(parameter) for parameter in parameters]
        # as after the first step
        optimizer.state.update({p: {"momentum_buffer": m} for p, m in zip(parameters, momentum, strict=True)})
        edges = PRIME_EDGES[len(self._strides[0])]
        patch_size = [edge * math.prod(s[axis] for s in self._strides) for axis, edge in enumerate(edges)]
        with torch.device("meta"):
            data = torch.empty(PRIME_BATCH, input_channels, *patch_size)
            targets = segmentation_targets(self._strides, patch_size, PRIME_BATCH, num_outputs, has_regions)
        loss_function = segmentation_loss(len(targets), has_regions)

        allocations = Allocations()
        state = [*parameters, *network.buffers()]
        for tensor in (*state, *momentum, data, *targets):
            allocations.note(tensor)
        begin = len(allocations.events)
        with allocations:
            with autocast(precision):
                outputs = network(data)
            outputs = outputs if isinstance(outputs, list) else [outputs]
            # the trainer holds on to the outputs; autocast's single precision copies go with the loss
            loss = loss_function([output.float() for output in outputs], targets)
            end_of_forward = len(allocations.events)
            with autocast(precision):  # for what is computed again
                loss.backward()
            optimizer.step()
        gradients = [p.grad for p in parameters if p.grad is not None]
        self._of_weights = {"weights": _bytes(state), "gradients": _bytes(gradients), "momentum": _bytes(momentum)}
        self._activations = self._growth(allocations.events[begin:end_of_forward]).sum(1)
        self._alive = np.unique(np.cumsum(self._growth(allocations.events), axis=1), axis=1)

    def _growth(self, sizes: Sequence[int]) -> np.ndarray:
        """Bytes as (fixed, per sample, per sample and voxel of the coarsest map) x sizes."""
        map_size = PRIME_BATCH * math.prod(PRIME_EDGES[len(self._strides[0])])
        size = np.array(sizes, dtype=np.int64)
        of_maps = size % map_size == 0
        of_samples = ~of_maps & (size % PRIME_BATCH == 0)
        return np.stack([size * ~(of_maps | of_samples), size * of_samples // PRIME_BATCH, size * of_maps // map_size])

    def memory(self, patch_size: Sequence[int], batch_size: int) -> StepMemory:
        """The bytes for a patch in voxels, which the strides must divide, and a batch."""
        amounts = np.array([1, batch_size, batch_size * math.prod(bottleneck_edges(patch_size, self._strides))])
        activations, peak = int(amounts @ self._activations), int((amounts @ self._alive).max())
        return StepMemory(**self._of_weights, activations=activations, peak=peak)

    def largest_batch(self, patch_size: Sequence[int], usable_bytes: float) -> int:
        """The largest batch whose peak stays within the usable bytes; 0 where none does."""
        fixed, per_sample, per_voxel = self._alive
        grows = per_sample + per_voxel * math.prod(bottleneck_edges(patch_size, self._strides))
        if fixed.max() > usable_bytes:
            return 0
        return math.floor(((usable_bytes - fixed)[grows > 0] / grows[grows > 0]).min())


def training_step(
    architecture: Mapping[str, Any],
    input_channels: int,
    num_outputs: int,
    has_regions: bool = False,
    precision: torch.dtype = torch.float16,
    recompute: bool = False,
) -> TrainingStep:
    """A `TrainingStep`, made once for all architectures that differ in the dilation rates alone."""
    kwargs = dict(architecture["arch_kwargs"])
    if kwargs.get("dilations"):
        kwargs["dilations"] = list(range(1, len(kwargs["dilations"]) + 1))
    key = json.dumps({**architecture, "arch_kwargs": kwargs})
    return _training_step(key, input_channels, num_outputs, has_regions, precision, recompute)


@cache
def _training_step(architecture: str, *arguments: Any) -> TrainingStep:
    return TrainingStep(json.loads(architecture), *arguments)


def training_step_memory(
    architecture: Mapping[str, Any], *, patch_size: Sequence[int], batch_size: int, **step: Any
) -> StepMemory:
    """Counts the bytes of one training step; the arguments are those of `training_step` and `TrainingStep.memory`."""
    return training_step(architecture, **step).memory(patch_size, batch_size)


def network_on_meta(
    architecture: Mapping[str, Any], input_channels: int, num_outputs: int, *, deep_supervision: bool
) -> nn.Module:
    """Builds the network of a plan without making its weights."""
    with torch.device("meta"):
        return get_network_from_plans(
            architecture["network_class_name"],
            dict(architecture["arch_kwargs"]),
            architecture["_kw_requires_import"],
            input_channels,
            num_outputs,
            allow_init=False,
            deep_supervision=deep_supervision,
        )


def segmentation_targets(
    strides: Sequence[Sequence[int]], patch_size: Sequence[int], batch_size: int, num_outputs: int, has_regions: bool
) -> list[torch.Tensor]:
    """The loader's segmentations, one for each output of deep supervision, uninitialised."""
    targets = []
    shape = list(patch_size)
    for stage_strides in strides[:-1] if len(strides) > 2 else strides[:1]:
        shape = [-(-edge // stride) for edge, stride in zip(shape, stage_strides, strict=True)]
        channels, dtype = (num_outputs, torch.bool) if has_regions else (1, torch.int16)
        targets.append(torch.empty(batch_size, channels, *shape, dtype=dtype))
    return targets


def segmentation_loss(n_outputs: int, has_regions: bool) -> nn.Module:
    """The trainer's loss for a list of outputs: CE (regions: BCE) and Dice, with deep supervision's weights."""
    dice = {"batch_dice": True, "do_bg": has_regions, "smooth": 1e-5, "ddp": False}
    loss_class, options = (DC_and_BCE_loss, ({}, dice)) if has_regions else (DC_and_CE_loss, (dice, {}))
    loss = loss_class(*options, dice_class=MemoryEfficientSoftDiceLoss)
    # nnU-Net gives the lowest output the weight 0 and skips it
    weights = [1 / 2**i for i in range(max(1, n_outputs - 1))] + [0] * (n_outputs > 1)
    return DeepSupervisionWrapper(loss, weights)


def _bytes(tensors: Sequence[torch.Tensor]) -> int:
    return sum(math.prod(tensor.shape) * tensor.element_size() for tensor in tensors)
