"""Batch norms whose running statistics survive an overflow."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer


class FiniteStatistics(nnUNetTrainer):
    """nnUNetTrainer that takes the running statistics back after a step whose loss is not finite.

    In half precision a step may overflow; the gradient scaler then leaves the weights as they were. The forward pass
    has changed the running statistics of the batch norms, though: once they are not finite, every later prediction
    gives no numbers.
    """

    def train_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Trains one step; the buffers stay as they were where the loss is not finite."""
        buffers = list(self.network.buffers())
        before = [buffer.clone() for buffer in buffers]
        outputs = super().train_step(batch)
        if not np.isfinite(outputs["loss"]).all():
            with torch.no_grad():
                for buffer, old in zip(buffers, before, strict=True):
                    buffer.copy_(old)
        return outputs
