"""What happens inside an epoch, where nnU-Net is silent for minutes."""

from __future__ import annotations

from typing import Any

from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from tqdm import tqdm


class ProgressBar(nnUNetTrainer):
    """Shows a bar with loss and steps a second while an epoch trains; nothing where nobody watches a terminal."""

    _bar: tqdm | None = None

    def on_train_epoch_start(self) -> None:
        """As the host, with a bar."""
        super().on_train_epoch_start()
        self._bar = tqdm(
            total=self.num_iterations_per_epoch,
            desc=f"epoch {self.current_epoch}",
            unit="step",
            leave=False,
            disable=None if self.local_rank == 0 else True,  # None: not on a terminal
        )

    def train_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        """As the host."""
        outputs = super().train_step(batch)
        if self._bar is not None:
            self._bar.set_postfix(loss=f"{outputs['loss']:.4f}", refresh=False)
            self._bar.update()
        return outputs

    def on_train_epoch_end(self, train_outputs: list[dict[str, Any]]) -> None:
        """As the host; the bar goes."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        super().on_train_epoch_end(train_outputs)
