"""How many samples of a patch a GPU's memory takes in a training step."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from nnunetv2.utilities.label_handling.label_handling import LabelManager

from nnunet_eas.plans.training_memory import StepMemory, training_step_memory

RESERVED = 0.1
"""Share of the memory target that no plan uses: for the CUDA context, cuDNN's workspaces and what an allocator loses.
A choice, not a measurement: `benchmarks/training_memory.py --device cuda` measures what it has to be."""


class MemoryBudget:
    """A memory target, for the networks of one dataset.

    Args:
        target_gb: Of 10^9 bytes.
        dataset_json: The dataset's: its channels, labels and regions decide what a step takes.

    Attributes:
        usable_bytes: What a plan may use.
        least_bytes: Of all patches that were asked for, the least that a batch of two took.
    """

    def __init__(self, target_gb: float, dataset_json: Mapping[str, Any]) -> None:
        self.usable_bytes = target_gb * 1e9 * (1 - RESERVED)
        self.least_bytes = math.inf
        labels = LabelManager(dataset_json["labels"], dataset_json.get("regions_class_order"))
        self._has_regions = labels.has_regions
        self._num_outputs = labels.num_segmentation_heads
        self._channels = len(dataset_json.get("channel_names", dataset_json.get("modality")))
        self._previous_stage_channels = len(labels.foreground_labels)
        self._lines: dict[str, tuple[float, float]] = {}
        self._counts: dict[str, StepMemory] = {}

    def samples_that_fit(self, architecture: Mapping[str, Any], patch_size: Sequence[int]) -> int:
        """The largest batch, from as few counts as give it; exact where the question is whether two fit.

        Args:
            architecture: An EAS U-Net as a plan records it.
            patch_size: In voxels.
        """
        # Maps of one topology grow with batch x voxels alone, so that one count serves all patches
        kwargs = architecture["arch_kwargs"]
        topology = json.dumps({**kwargs, "dilations": len(kwargs["dilations"])})
        voxels = math.prod(patch_size)
        if topology not in self._lines:
            step = self.count(architecture, patch_size, 2)
            state = step.weights + step.momentum
            self._lines[topology] = state, (step.peak - state) / (2 * voxels)
        fixed, per_voxel = self._lines[topology]
        two = fixed + 2 * per_voxel * voxels
        # near the question whether two fit, and where the state outweighs the maps, the line is not good enough
        if abs(two - self.usable_bytes) < 0.1 * self.usable_bytes or two < 3 * fixed:
            two = self.count(architecture, patch_size, 2).peak
        self.least_bytes = min(self.least_bytes, two)
        samples = math.floor((self.usable_bytes - fixed) / (per_voxel * voxels))
        if two > self.usable_bytes:
            return max(0, min(samples, 1))
        if samples <= 2:
            return 2
        few, many = (self.count(architecture, patch_size, n).peak for n in (2, samples))
        return max(2, math.floor(2 + (self.usable_bytes - few) * (samples - 2) / (many - few)))

    def fits(self, architecture: Mapping[str, Any], patch_size: Sequence[int], batch_size: int) -> bool:
        """Whether a step stays within the usable memory, by its own count."""
        return self.count(architecture, patch_size, batch_size).peak <= self.usable_bytes

    def count(self, architecture: Mapping[str, Any], patch_size: Sequence[int], batch_size: int) -> StepMemory:
        """A step's bytes. In 3-D its input is that of a cascade's second stage, which inherits patch and batch."""
        patch_size = [int(edge) for edge in patch_size]
        key = json.dumps([architecture["arch_kwargs"], patch_size, batch_size])
        if key not in self._counts:
            self._counts[key] = training_step_memory(
                architecture,
                input_channels=self._channels + self._previous_stage_channels * (len(patch_size) == 3),
                num_outputs=self._num_outputs,
                patch_size=patch_size,
                batch_size=batch_size,
                has_regions=self._has_regions,
            )
        return self._counts[key]
