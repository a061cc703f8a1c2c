"""Keeps messages of other packages about their own insides off a command's output."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Suppresses prints, warnings, and log records below an error inside the block; exceptions pass."""
    threshold = logging.root.manager.disable
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(max(threshold, logging.WARNING))
        try:
            yield
        finally:
            logging.disable(threshold)
