"""Progress inside an epoch, where nnU-Net prints nothing for minutes."""

from __future__ import annotations

from typing import Any

from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from tqdm import tqdm


class ProgressBar(nnUNetTrainer):
    """nnUNetTrainer that on a terminal shows loss and steps a second while an epoch trains."""

    _bar: tqdm | None = None

    def on_train_epoch_start(self) -> None:
        """Starts the epoch as nnU-Net does, and shows the bar."""
        super().on_train_epoch_start()
        self._bar = tqdm(
            total=self.num_iterations_per_epoch,
            desc=f"epoch {self.current_epoch}",
            unit="step",
            leave=False,
            disable=None if self.local_rank == 0 else True,  # None shows the bar on terminals only
        )

    def train_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Trains one step, and moves the bar."""
        outputs = super().train_step(batch)
        if self._bar is not None:
            self._bar.set_postfix(loss=f"{outputs['loss']:.4f}", refresh=False)
            self._bar.update()
        return outputs

    def on_train_epoch_end(self, train_outputs: list[dict[str, Any]]) -> None:
        """Removes the bar, and ends the epoch as nnU-Net does."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        super().on_train_epoch_end(train_outputs)
