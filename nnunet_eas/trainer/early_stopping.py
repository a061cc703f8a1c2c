"""EASUNetTrainer that ends when it no longer gets better."""

from __future__ import annotations

from collections.abc import Sequence

from nnunet_eas.trainer.eas_unet_trainer import EASUNetTrainer


class EASUNetTrainer_earlystop(EASUNetTrainer):
    """Ends once the pseudo Dice has not risen for `patience` epochs, with the weights of that moment.

    Watched is nnU-Net's moving average over epochs, by which it also picks checkpoint_best.pth. The learning rate still
    falls over all `num_epochs`: a training that is stopped early has not had its small steps.

    Attributes:
        patience: Epochs without a gain.
        least_gain: In pseudo Dice, to count as one.
    """

    patience = 100
    least_gain = 1e-3

    def run_training(self) -> None:
        """As the host; a training that was stopped and is resumed (`--c`) stays as it is."""
        if self._has_flattened():
            self.print_to_log_file("It was stopped early; there is nothing left to train.")
            return
        try:
            super().run_training()
        except _Flattened:
            self.on_train_end()

    def on_epoch_end(self) -> None:
        """As the host, and perhaps the last one."""
        super().on_epoch_end()
        if self.current_epoch < self.num_epochs and self._has_flattened():
            self.print_to_log_file(f"No gain of {self.least_gain} in {self.patience} epochs: stopped early.")
            raise _Flattened

    def _has_flattened(self) -> bool:
        of_epochs = self.logger.get_value("ema_fg_dice", step=None)[: self.current_epoch]
        return epochs_without_gain(of_epochs, self.least_gain) >= self.patience


class _Flattened(Exception):
    """Leaves the host's loop over the epochs."""


def epochs_without_gain(values: Sequence[float], least_gain: float) -> int:
    """How many values came since the last that was above all before it by `least_gain`; the first one always is."""
    best, since = float("-inf"), 0
    for value in values:
        best, since = (value, 0) if value >= best + least_gain else (best, since + 1)
    return since
