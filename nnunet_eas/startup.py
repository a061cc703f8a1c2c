"""Tells nnU-Net where our trainers are, at every start of Python.

nnU-Net searches trainers of others only in the directories that the environment variable `nnUNet_extTrainer` names. A
start-up file that is installed with the package (`[tool.hatch.build.targets.wheel.hooks.autorun]` in pyproject.toml)
calls `register`, which appends our directory to the variable. This happens in every Python program of the environment.
So the module imports only what Python has loaded by then and prints nothing, and the start-up file catches its errors.
"""

import os

SEARCH_PATH_VARIABLE = "nnUNet_extTrainer"
SWITCH_OFF_VARIABLE = "NNUNET_EAS_NO_AUTOSTART"
LOOKUP_FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "lookup")


def is_switched_off() -> bool:
    """Whether the user has switched the registration off (`NNUNET_EAS_NO_AUTOSTART=1`; empty and 0 mean on)."""
    return os.environ.get(SWITCH_OFF_VARIABLE, "") not in ("", "0")


def is_registered() -> bool:
    """Whether `nnUNet_extTrainer` names our directory."""
    entries = os.environ.get(SEARCH_PATH_VARIABLE, "").split(os.pathsep)
    return any(os.path.normpath(entry) == LOOKUP_FOLDER for entry in entries if entry)


def register() -> None:
    """Appends our directory to `nnUNet_extTrainer`, unless it is there or the user has switched this off.

    The user's directories stay in front: their trainer of the same name wins. Child processes inherit the variable,
    and find our directory in it already.
    """
    if is_switched_off() or is_registered():
        return
    user_value = os.environ.get(SEARCH_PATH_VARIABLE)
    os.environ[SEARCH_PATH_VARIABLE] = os.pathsep.join((user_value, LOOKUP_FOLDER)) if user_value else LOOKUP_FOLDER
