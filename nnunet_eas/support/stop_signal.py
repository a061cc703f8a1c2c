"""The signal that asks a training to stop, known to trainers and to what starts them."""

import signal

SIGNAL: signal.Signals | None = getattr(signal, "SIGUSR2", None)
"""submitit's signal for jobs whose time ends or that give way to others. None on Windows, which has no such signal."""

STATUS = 75
"""Exit status of a training that stopped when it was asked to: sysexits.h's EX_TEMPFAIL, try again."""
