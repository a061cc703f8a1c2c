"""Trainings that stop when they are asked to, as a cluster asks a job whose time is up."""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path
from typing import Any

from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from nnunet_eas.support.stop_signal import SIGNAL, STATUS


class Interruptible(nnUNetTrainer):
    """nnUNetTrainer that on `SIGNAL` finishes its step, saves a checkpoint and ends with `STATUS`.

    `nnUNetv2_train --c` resumes there: with the saved weights, at the start of the interrupted epoch. A training on
    several GPUs, whose processes would not stop at the same step, ignores the signal; Windows has no such signal.
    """

    _is_asked_to_stop = False

    def on_train_start(self) -> None:
        """Starts as nnU-Net does, after setting the handler, so that processes which load data inherit it and live."""
        if SIGNAL is not None and not self.is_ddp and threading.current_thread() is threading.main_thread():
            signal.signal(SIGNAL, self._ask)
        super().on_train_start()

    def train_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Trains one step, and ends the process where it was asked to."""
        outputs = super().train_step(batch)
        if self._is_asked_to_stop:
            self.current_epoch -= 1  # a checkpoint of nnU-Net says that its epoch is finished, which this one is not
            self.save_checkpoint(str(Path(self.output_folder) / "checkpoint_latest.pth"))
            self.print_to_log_file(
                f"Stopped by a signal in epoch {self.current_epoch + 1}; --c goes on from the latest checkpoint."
            )
            sys.exit(STATUS)
        return outputs

    def _ask(self, *_: Any) -> None:
        self._is_asked_to_stop = True
