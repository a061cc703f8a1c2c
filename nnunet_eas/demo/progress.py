"""What the person in front of the terminal sees while the demo works."""

from __future__ import annotations

import sys
import time


class Progress:
    """One line a stage; on a terminal it is repainted as work goes on, in a file each new detail gets its own line.

    Args:
        stages: How many there are.
    """

    def __init__(self, stages: int) -> None:
        self.stages = stages
        self.number = 0
        self.title = ""
        self.started = time.monotonic()
        self.live = sys.stdout.isatty()
        self.width = 0

    def begin(self, title: str) -> None:
        """Starts the next stage."""
        self.number += 1
        self.title = title
        self.started = time.monotonic()
        self._paint("...", last=not self.live)

    def detail(self, text: str, *, milestone: bool = False) -> None:
        """Tells how far the stage is. Only milestones reach an output that is no terminal."""
        if self.live or milestone:
            self._paint(text, last=not self.live)

    def end(self, text: str = "done") -> float:
        """Ends the stage; returns its seconds."""
        self._paint(text, last=True)
        return self.seconds

    def kept(self, title: str) -> None:
        """Skips a stage that an earlier run finished."""
        self.number += 1
        print(f"[{self.number}/{self.stages}] {title}: kept from an earlier run", flush=True)

    @property
    def seconds(self) -> float:
        """Since the stage began."""
        return time.monotonic() - self.started

    def _paint(self, text: str, *, last: bool) -> None:
        line = f"[{self.number}/{self.stages}] {self.title}: {text} ({self.seconds:.0f} s)"
        blank = " " * max(0, self.width - len(line))
        self.width = 0 if last else len(line)
        print(f"\r{line}{blank}" if self.live else line, end="\n" if last else "", flush=True)
