"""Lines about running trainings, at most one a minute for each."""

from __future__ import annotations

import time
from collections.abc import Callable

from nnunet_eas.crossval.fold import LOG, Fold
from nnunet_eas.crossval.status import status_of

EVERY_S = 60.0


class Progress:
    """Tells how far running folds are, whenever that has changed since the last line about the fold.

    Args:
        say: Gets the lines.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._looked: dict[Fold, float] = {}
        self._said: dict[Fold, str] = {}

    def look_at(self, fold: Fold) -> None:
        """Reads the files of a running fold, unless that was less than a minute ago."""
        now = time.monotonic()
        if now - self._looked.setdefault(fold, now) < EVERY_S:
            return
        self._looked[fold] = now
        line = str(status_of(fold))
        if self._said.get(fold) != line:
            self._said[fold] = line
            self._say(f"{line}, log {fold.folder / LOG}")
