"""A training that can be asked to stop, as a cluster asks whose time is up."""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path
from typing import Any

from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from nnunet_eas.support.stop_signal import SIGNAL, STATUS


class Interruptible(nnUNetTrainer):
    """Saves a checkpoint behind the step at hand when it gets `SIGNAL`, and ends with `STATUS`.

    `nnUNetv2_train --c` goes on from there: with the weights as they are, at the start of the epoch that was cut.
    A training on several GPUs does not listen: its processes would not stop at the same step.
    """

    _is_asked_to_stop = False

    def on_train_start(self) -> None:
        """As the host; listens from here on, so that the processes which load data inherit it and live on."""
        if SIGNAL is not None and not self.is_ddp and threading.current_thread() is threading.main_thread():
            signal.signal(SIGNAL, self._ask)
        super().on_train_start()

    def train_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        """As the host."""
        outputs = super().train_step(batch)
        if self._is_asked_to_stop:
            self._stop()
        return outputs

    def _ask(self, *_: Any) -> None:
        self._is_asked_to_stop = True

    def _stop(self) -> None:
        """Ends the process; the host writes into a checkpoint that its epoch is done, which this one is not."""
        self.current_epoch -= 1
        self.save_checkpoint(str(Path(self.output_folder) / "checkpoint_latest.pth"))
        self.print_to_log_file(f"Stopped by a signal in epoch {self.current_epoch + 1}; --c goes on from here.")
        sys.exit(STATUS)
