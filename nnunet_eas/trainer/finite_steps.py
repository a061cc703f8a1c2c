"""Steps whose loss or gradients are not finite: skipped, counted, and the end of a training that has nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

MOST_IN_A_ROW = 25
"""Skipped steps in a row that end a training. In half precision some 16 are usual: the scale of the loss is sought."""


class FiniteSteps(nnUNetTrainer):
    """nnUNetTrainer that skips a step whose gradients are not finite.

    Weights, momentum and the running statistics of batch norms then stay as they were. In half precision nnU-Net's
    gradient scaler skips such steps, too, but for the statistics: once they are not finite, every later prediction
    gives no numbers. The log says after each epoch how many steps were skipped.
    """

    _skipped = 0  # steps of this epoch
    _in_a_row = 0  # skipped steps since the last one that was not
    _has_stepped = False

    def initialize(self) -> None:
        """Initialises as nnU-Net does, and has the optimiser look at the gradients."""
        super().initialize()
        self.optimizer.register_step_pre_hook(self._before_optimizer_step)

    def _before_optimizer_step(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        # nnU-Net has clipped them: a gradient that is not finite has made all of them so, or zero
        norms = torch._foreach_norm([p.grad for p in parameters])
        self._has_stepped = bool(torch.stack(norms).sum().isfinite())
        if not self._has_stepped:
            for p in parameters:
                p.grad = None  # an optimiser passes by parameters without a gradient

    def train_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Trains one step, unless its numbers are not finite.

        Raises:
            RuntimeError: `MOST_IN_A_ROW` steps in a row had to be skipped.
        """
        of_types: dict[torch.dtype, list[torch.Tensor]] = {}
        for buffer in self.network.buffers():
            of_types.setdefault(buffer.dtype, []).append(buffer)
        before = [torch._foreach_add(buffers, 0) for buffers in of_types.values()]  # a launch a type, not one a buffer
        self._has_stepped = False  # the gradient scaler may skip the optimiser's step
        outputs = super().train_step(batch)
        if not np.isfinite(outputs["loss"]).all():
            with torch.no_grad():
                for buffers, old in zip(of_types.values(), before, strict=True):
                    torch._foreach_copy_(buffers, list(old))
        if self._has_stepped:
            self._in_a_row = 0
            return outputs
        self._skipped += 1
        self._in_a_row += 1
        if self._in_a_row == MOST_IN_A_ROW:
            cases = batch.get("keys", ["not told by the loader"])  # of nnU-Net's loaders
            raise RuntimeError(
                f"Loss and gradients must be finite, got {MOST_IN_A_ROW} steps in a row in epoch {self.current_epoch} "
                f"that were not (last cases: {', '.join(map(str, cases))}). {self._last_checkpoint()} Look at "
                "the values of these cases; on a GPU, train with -tr EASUNetTrainer_bf16 or EASUNetTrainer_fp32."
            )
        return outputs

    def on_train_epoch_end(self, train_outputs: list[dict[str, Any]]) -> None:
        """Ends the epoch as nnU-Net does, with the mean over the losses that are finite."""
        if self._skipped:
            self.print_to_log_file(
                f"{self._skipped} of {len(train_outputs)} steps were skipped: their gradients were not finite."
            )
            self._skipped = 0
        losses = np.array([outputs["loss"] for outputs in train_outputs])
        if not (finite := np.isfinite(losses)).all() and finite.any():  # each process of a DDP has as many
            losses[~finite] = losses[finite].mean()
            train_outputs = [{**outputs, "loss": loss} for outputs, loss in zip(train_outputs, losses, strict=True)]
        super().on_train_epoch_end(train_outputs)

    def _last_checkpoint(self) -> str:
        names = ("checkpoint_latest.pth", "checkpoint_best.pth")
        files = [file for name in names if (file := Path(self.output_folder) / name).is_file()]
        if not files:
            return "No checkpoint was written before."
        return f"{max(files, key=lambda file: file.stat().st_mtime)} has the weights of before; --c continues there."
