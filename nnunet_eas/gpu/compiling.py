"""Settings of PyTorch's compiler for a training step."""

from __future__ import annotations

from typing import Any

SETTINGS = {"realize_opcount_threshold": 200, "realize_reads_threshold": 8}
"""Names and values in `torch._inductor.config`."""


def fuse_norms_into_their_readers() -> None:
    """Lets Inductor compute a norm and its activation again in every kernel that reads them, in this process.

    With its own settings Inductor writes the norm's result in single precision as soon as a few operations depend on
    it. These maps decide the peak of a step that recomputes (`benchmarks.planning.compiled_peak`).
    """
    from torch._inductor import config  # not at the top: only a training on a GPU needs it

    settings: Any = config
    for name, value in SETTINGS.items():
        if hasattr(settings, name):  # PyTorch may rename what is not public
            setattr(settings, name, max(value, getattr(settings, name) or 0))  # None: by the device
