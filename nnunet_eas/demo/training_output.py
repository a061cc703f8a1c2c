"""Reads the progress of a training out of what nnU-Net prints."""

from __future__ import annotations

import re


class TrainingOutput:
    """Takes nnU-Net's lines one by one and puts an epoch's numbers together.

    Args:
        epochs: How many the schedule has.
        structures: Names of the foreground structures, in the order of their labels.
        shown: Those whose Dice is told.
    """

    def __init__(self, *, epochs: int, structures: list[str], shown: list[str]) -> None:
        self.epochs = epochs
        self.structures = structures
        self.shown = shown
        self.epoch = 0
        self.dice: list[float] = []

    def read(self, line: str) -> tuple[str, bool] | None:
        """What a line means for the progress: (text, whether an epoch has ended), or None where it means nothing."""
        if match := re.search(r": Epoch (\d+)\s*$", line):
            self.epoch = int(match[1]) + 1
            return f"epoch {self.epoch} of {self.epochs}", False
        if "Pseudo dice" in line:
            self.dice = [float(number) for number in re.findall(r"\d+\.\d+|nan", line.split("Pseudo dice", 1)[1])]
        if "Epoch time" in line and len(self.dice) == len(self.structures):
            dice = dict(zip(self.structures, self.dice, strict=True))
            scores = ", ".join(f"{name.replace('_', ' ')} {dice[name]:.2f}" for name in self.shown)
            return f"epoch {self.epoch} of {self.epochs}, Dice so far: {scores}", True
        if "predicting" in line:
            return "validation", False
        return None
