"""Number of samples of a patch that a GPU's memory takes in a training step."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from nnunetv2.utilities.label_handling.label_handling import LabelManager

from nnunet_eas.plans.training_memory import TrainingStep, training_step

# Share of the memory target that no plan uses: for the CUDA context, cuDNN's workspaces and gaps in the allocator.
# A choice, not a measurement: `benchmarks/planning/training_memory.py --device cuda` measures what it has to be.
RESERVED = 0.1


class MemoryBudget:
    """A memory target in units of 10^9 bytes, for the networks of one dataset."""

    def __init__(self, target_gb: float, dataset_json: Mapping[str, Any]) -> None:
        self.usable_bytes = target_gb * 1e9 * (1 - RESERVED)
        self.least_bytes = math.inf  # that a batch of two took, of all patches so far
        self._labels = LabelManager(dataset_json["labels"], dataset_json.get("regions_class_order"))
        self._channels = len(dataset_json.get("channel_names", dataset_json.get("modality")))

    def samples_that_fit(self, architecture: Mapping[str, Any], patch_size: Sequence[int]) -> int:
        """The largest batch that fits with recomputation, 0 where none does."""
        step = self.step(architecture, recompute=True)
        self.least_bytes = min(self.least_bytes, step.memory(patch_size, 2).peak)
        return step.largest_batch(patch_size, self.usable_bytes)

    def needs_recompute(self, architecture: Mapping[str, Any], patch_size: Sequence[int], batch_size: int) -> bool:
        """Whether a step fits with recomputation only."""
        return self.step(architecture, recompute=False).largest_batch(patch_size, self.usable_bytes) < batch_size

    def step(self, architecture: Mapping[str, Any], *, recompute: bool) -> TrainingStep:
        """A step of a planned EAS U-Net; in 3-D with a cascade's second stage's input, which inherits the patch."""
        is_3d = len(architecture["arch_kwargs"]["strides"][0]) == 3
        channels = self._channels + (len(self._labels.foreground_labels) if is_3d else 0)
        outputs, has_regions = self._labels.num_segmentation_heads, self._labels.has_regions
        return training_step(architecture, channels, outputs, has_regions, recompute=recompute)
