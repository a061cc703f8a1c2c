"""How a training is asked to stop: known to trainers and to what starts them."""

import signal

SIGNAL = signal.SIGUSR2
"""submitit's, for jobs whose time ends or that give way to others."""

STATUS = 75
"""Exit status of a training that stopped when it was asked to: sysexits.h's EX_TEMPFAIL, try again."""
