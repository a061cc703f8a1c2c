"""One fold of one configuration: its folder, and what nnU-Net has written there already."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from nnunet_eas.support.locks import LOOK_S, is_held, locked

LOCK = "crossval.lock"
LOG = "crossval_log.txt"


class Model(NamedTuple):
    """A trained model by the parts of its folder's name."""

    trainer: str
    plans: str
    configuration: str

    @property
    def name(self) -> str:
        """TRAINER__PLANS__CONFIGURATION, the folder's name."""
        return "__".join(self)


@dataclass(frozen=True)
class Fold:
    """A fold of a model: its names as nnU-Net's commands take them, its number in the split file, nnUNet_results."""

    dataset: str
    configuration: str
    trainer: str
    plans: str
    number: int
    results: Path

    @property
    def model(self) -> str:
        """TRAINER__PLANS__CONFIGURATION."""
        return Model(self.trainer, self.plans, self.configuration).name

    @property
    def folder(self) -> Path:
        """The folder in which nnU-Net writes the fold."""
        return self.results / self.dataset / self.model / f"fold_{self.number}"

    def __str__(self) -> str:
        return f"{self.configuration} fold {self.number}"

    def is_trained(self, *, with_probabilities: bool = False) -> bool:
        """Whether training and validation are done, and the validation cases' probabilities written for ensembles."""
        validation = self.folder / "validation"
        is_done = (validation / "summary.json").is_file()  # the last thing that nnU-Net writes
        return is_done and (not with_probabilities or any(validation.glob("*.npz")))

    def has_final_checkpoint(self) -> bool:
        """Whether all epochs are trained."""
        return (self.folder / "checkpoint_final.pth").is_file()

    def has_checkpoint(self) -> bool:
        """Whether a training has begun that can be resumed."""
        return any((self.folder / f"checkpoint_{which}.pth").is_file() for which in ("latest", "best"))

    def command(self, device: str, *, with_probabilities: bool) -> list[str]:
        """nnU-Net's command for what is missing: the training, its rest, or the validation alone."""
        command = ["nnUNetv2_train", self.dataset, self.configuration, str(self.number)]
        command += ["-tr", self.trainer, "-p", self.plans, "-device", device]
        if with_probabilities:
            command.append("--npz")
        if self.has_final_checkpoint():
            command.append("--val")
        elif self.has_checkpoint():
            command.append("--c")
        return command

    def lock(self) -> AbstractContextManager[tuple[int, ...]]:
        """Holds the fold for this process and its children, between nodes as far as the file system's locks do."""
        return locked(self.folder / LOCK, wait_s=2 * LOOK_S)

    def is_in_use(self) -> bool:
        """Whether a process holds the fold. Writes nothing."""
        return is_held(self.folder / LOCK)
