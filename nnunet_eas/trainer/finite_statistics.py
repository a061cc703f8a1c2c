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
        """Trains one step; the running statistics stay as they were where the loss is not finite."""
        of_types: dict[torch.dtype, list[torch.Tensor]] = {}
        for buffer in self.network.buffers():
            of_types.setdefault(buffer.dtype, []).append(buffer)
        before = [torch._foreach_add(buffers, 0) for buffers in of_types.values()]  # a launch a type, not one a buffer
        outputs = super().train_step(batch)
        if not np.isfinite(outputs["loss"]).all():
            with torch.no_grad():
                for buffers, old in zip(of_types.values(), before, strict=True):
                    torch._foreach_copy_(buffers, list(old))
        return outputs
