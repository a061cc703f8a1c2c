"""Checkpoints that a kill, a full disk or a damaged file does not lose."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any

from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from nnunet_eas.support.checkpoints import fault_of, read_checkpoint, sync
from nnunet_eas.support.errors import first_line

FINAL, LATEST = "checkpoint_final.pth", "checkpoint_latest.pth"
FULL = (errno.ENOSPC, errno.EDQUOT)  # a disk, or a user's share of it
PREVIOUS = "checkpoint_previous.pth"
"""Name of the checkpoint that was the latest one before the latest."""


class WholeCheckpoints(nnUNetTrainer):
    """nnUNetTrainer that replaces a checkpoint only by one that was written, synced to the disk and read back.

    The one before the latest is kept until training ends, and `--c` takes it where the latest one is damaged. Where the
    disk is full, the checkpoint before stays, a line in the log says so, and training goes on; the final checkpoint
    must be written.
    """

    current_epoch: int
    _best_ema: float | None
    _is_saved = True  # all checkpoints of this epoch's end

    def save_checkpoint(self, filename: str) -> None:
        """Saves as nnU-Net does, under another name at first.

        Raises:
            OSError: The folder cannot be written to for another reason than a full disk.
            RuntimeError: The disk is full, and this is the final checkpoint.
        """
        if self.local_rank != 0 or self.disable_checkpointing:  # nnU-Net saves nothing then
            super().save_checkpoint(filename)
            return
        file = Path(filename)
        temporary = file.with_name(f"{file.name}.tmp")
        try:
            super().save_checkpoint(str(temporary))
            sync(temporary)
            fault = fault_of(temporary)
        except RuntimeError as error:  # PyTorch's archive, where the disk is full or the folder is not as it was
            if not temporary.exists():
                raise
            fault = first_line(error)
        except OSError as error:
            if error.errno not in FULL:  # a folder that is gone, or must not be written to, gets no later checkpoint
                raise
            fault = first_line(error)
        if fault is None:
            if file.name == LATEST and file.exists() and fault_of(file) is None:
                _link(file, file.with_name(PREVIOUS))
            os.replace(temporary, file)
            sync(file.parent)
            return
        temporary.unlink(missing_ok=True)
        self._is_saved = False
        message = f"{file} could not be written ({fault}); its disk has {_free_mb(file):.0f} MB left."
        if file.name == FINAL:
            raise RuntimeError(f"{message} Make room, and continue with --c.")
        self.print_to_log_file(f"{message} The checkpoint of before stays; training goes on.")

    def load_checkpoint(self, filename_or_checkpoint: dict | str) -> None:
        """Loads as nnU-Net does, after `check_checkpoint`; instead of a damaged latest checkpoint, the one before.

        Raises:
            ValueError: The file is no whole checkpoint and there is no other, or its pickle would run something.
        """
        if not self.was_initialized:
            self.initialize()
        checkpoint = filename_or_checkpoint
        if isinstance(checkpoint, str):
            file, checkpoint = self._whole(Path(checkpoint))
            filename_or_checkpoint = str(file)
        self.check_checkpoint(checkpoint)
        super().load_checkpoint(filename_or_checkpoint)

    def check_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Raises where a checkpoint does not belong to this training; a subclass knows when."""

    def _whole(self, file: Path) -> tuple[Path, dict[str, Any]]:
        """A file that can be read, and its content: the one before where it is the latest checkpoint and damaged."""
        previous = file.with_name(PREVIOUS)
        try:
            return file, read_checkpoint(file)
        except ValueError as error:
            if file.name != LATEST or not previous.is_file():
                raise
            self.print_to_log_file(f"{error} The one before, {previous.name}, is loaded instead.")
            return previous, read_checkpoint(previous)

    def on_epoch_end(self) -> None:
        """Ends the epoch as nnU-Net does; a full disk does not end the training."""
        epoch, best = self.current_epoch, self._best_ema
        self._is_saved = True
        try:
            super().on_epoch_end()
        except OSError as error:
            if error.errno not in FULL:
                raise
            self.print_to_log_file(f"The disk of {self.output_folder} is full; training goes on.")
            self.current_epoch = epoch + 1  # nnU-Net counts after it has drawn its curves
        finally:
            if not self._is_saved:
                self._best_ema = best  # of the best checkpoint that there is: a later epoch may replace it

    def on_train_end(self) -> None:
        """Ends training as nnU-Net does, and removes the previous checkpoint, as nnU-Net removes the latest one."""
        super().on_train_end()
        if self.local_rank == 0:
            for name in (PREVIOUS, f"{LATEST}.tmp"):
                (Path(self.output_folder) / name).unlink(missing_ok=True)


def _link(file: Path, other: Path) -> None:
    """Gives a file a second name, which may be another file's until then; file systems without links keep one only."""
    temporary = other.with_name(f"{other.name}.tmp")
    temporary.unlink(missing_ok=True)
    try:
        os.link(file, temporary)
    except OSError:
        return
    os.replace(temporary, other)


def _free_mb(file: Path) -> float:
    return shutil.disk_usage(file.parent).free / 1e6
