"""Progress of the demo on the terminal: which stage runs, what it does, and for how long."""

from __future__ import annotations

import re
import shutil
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager


class Progress:
    """One line a stage: on a terminal it is repainted every second, elsewhere it is repeated every ten seconds."""

    def __init__(self, stages: int) -> None:
        self.stages, self.number = stages, 0
        self.title = self.text = ""
        self.started = 0.0
        self._live = sys.stdout.isatty()
        self._width = 0
        self._painting = threading.Lock()

    @contextmanager
    def stage(self, title: str) -> Iterator[None]:
        """Shows the next stage while it runs."""
        self.number += 1
        self.title, self.started = title, time.monotonic()
        ended = threading.Event()
        clock = threading.Thread(target=self._repeat_until, args=(ended,), daemon=True)
        self.detail("started", milestone=True)
        clock.start()
        try:
            yield
            self.text = "done"
        finally:
            ended.set()
            clock.join()
            self._paint(last=True)

    def detail(self, text: str, *, milestone: bool = False) -> None:
        """Tells what the stage does. Where the output is no terminal, only milestones are written at once."""
        self.text = text
        if self._live or milestone:
            self._paint()

    def kept(self, title: str) -> None:
        """Skips a stage that an earlier run finished."""
        self.number += 1
        print(f"[{self.number}/{self.stages}] {title}: kept from an earlier run", flush=True)

    @property
    def seconds(self) -> float:
        """Seconds since the stage began."""
        return time.monotonic() - self.started

    def _repeat_until(self, ended: threading.Event) -> None:
        while not ended.wait(1 if self._live else 10):
            self._paint()

    def _paint(self, *, last: bool = False) -> None:
        with self._painting:
            line = f"[{self.number}/{self.stages}] {self.title}: {self.text} ({self.seconds:.0f} s)"
            if self._live:
                line = line[: shutil.get_terminal_size().columns - 1]  # a line that wraps cannot be repainted
            blank = " " * max(0, self._width - len(line))
            self._width = 0 if last else len(line)
            text = f"\r{line}{blank}" if self._live else line
            print(text, end="" if self._live and not last else "\n", flush=True)


class TrainingOutput:
    """Progress of a training, read from the lines that nnU-Net prints: epochs, and the Dice of the cartilages."""

    def __init__(self, *, epochs: int, structures: Sequence[str]) -> None:
        self.epochs, self.structures = epochs, structures  # the structures in the order of their labels
        self.epoch = 0
        self.dice: list[float] = []

    def read(self, line: str) -> tuple[str, bool] | None:
        """Takes one line: (text, whether an epoch has ended), or None where the line says nothing about progress."""
        if match := re.search(r": Epoch (\d+)\s*$", line):
            self.epoch = int(match[1]) + 1
            return f"epoch {self.epoch} of {self.epochs}", False
        if "Pseudo dice" in line:
            self.dice = [float(number) for number in re.findall(r"\d+\.\d+|nan", line.split("Pseudo dice", 1)[1])]
        if "Epoch time" in line and len(self.dice) == len(self.structures):
            dice = zip(self.structures, self.dice, strict=True)
            shown = [f"{name.replace('_', ' ')} {value:.2f}" for name, value in dice if "cartilage" in name]
            return f"epoch {self.epoch} of {self.epochs}, Dice so far: {', '.join(shown)}", True
        return ("validation", False) if "predicting" in line else None
