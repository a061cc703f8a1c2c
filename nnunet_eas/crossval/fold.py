"""One fold of one configuration: where nnU-Net keeps it, and what is there already."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

LOCK = "crossval.lock"
TRAINABLE = ("latest", "best")
"""Checkpoints that `nnUNetv2_train --c` goes on from."""


@dataclass(frozen=True)
class Fold:
    """A training.

    Attributes:
        dataset: Its name, DatasetXXX_NAME.
        configuration: 2d, 3d_fullres, ...
        trainer: The trainer's class name.
        plans: The plans' name.
        number: Of the split file.
        results: nnU-Net's results folder.
    """

    dataset: str
    configuration: str
    trainer: str
    plans: str
    number: int
    results: Path

    @property
    def model(self) -> str:
        """TRAINER__PLANS__CONFIGURATION."""
        return f"{self.trainer}__{self.plans}__{self.configuration}"

    @property
    def folder(self) -> Path:
        """Where nnU-Net writes it."""
        return self.results / self.dataset / self.model / f"fold_{self.number}"

    def __str__(self) -> str:
        return f"{self.configuration} fold {self.number}"

    def is_trained(self, *, with_probabilities: bool = False) -> bool:
        """Whether training and validation are done; the summary is the last thing that nnU-Net writes.

        Args:
            with_probabilities: Those of the validation cases, which ensembles are made of, must be there as well.
        """
        validation = self.folder / "validation"
        if not (validation / "summary.json").is_file():
            return False
        return not with_probabilities or any(validation.glob("*.npz"))

    def command(self, device: str, *, with_probabilities: bool) -> list[str]:
        """nnU-Net's, for what is missing: the training, its rest, or the validation alone."""
        command = ["nnUNetv2_train", self.dataset, self.configuration, str(self.number)]
        command += ["-tr", self.trainer, "-p", self.plans, "-device", device]
        if with_probabilities:
            command.append("--npz")
        if (self.folder / "checkpoint_final.pth").is_file():
            command.append("--val")
        elif any((self.folder / f"checkpoint_{which}.pth").is_file() for which in TRAINABLE):
            command.append("--c")
        return command

    @contextmanager
    def lock(self) -> Iterator[int | None]:
        """Holds the fold for this process and those that inherit the descriptor; None where another one holds it.

        The kernel frees it when the last of them ends, however it ends. It holds between the nodes of a cluster as far
        as their file system's locks do.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / LOCK).open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield None
            else:
                yield file.fileno()

    def is_in_use(self) -> bool:
        """Whether a process holds it. Writes nothing."""
        try:
            descriptor = os.open(self.folder / LOCK, os.O_RDONLY)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False
