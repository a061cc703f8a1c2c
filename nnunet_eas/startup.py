"""Tells nnU-Net where our trainers are, at every start of Python.

nnU-Net looks for foreign trainers only in the directories of the environment variable `nnUNet_extTrainer`. A start-up
file that is installed with the package (`[tool.hatch.build.targets.wheel.hooks.autorun]` in pyproject.toml) calls
`register`, which appends our directory there. It runs in every Python program of the environment, so: nothing imported
that Python has not loaded by then, nothing printed, and what might fail is caught by the start-up file.
"""

import os

SEARCH_PATH_VARIABLE = "nnUNet_extTrainer"
SWITCH_OFF_VARIABLE = "NNUNET_EAS_NO_AUTOSTART"
LOOKUP_FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "lookup")


def is_switched_off() -> bool:
    """Whether the user has switched the registration off (`NNUNET_EAS_NO_AUTOSTART=1`; empty and 0 mean on)."""
    return os.environ.get(SWITCH_OFF_VARIABLE, "") not in ("", "0")


def is_registered() -> bool:
    """Whether nnU-Net will search our directory."""
    entries = os.environ.get(SEARCH_PATH_VARIABLE, "").split(os.pathsep)
    return any(os.path.normpath(entry) == LOOKUP_FOLDER for entry in entries if entry)


def register() -> None:
    """Append our directory to `nnUNet_extTrainer`, unless it is there or the user has switched this off.

    What the user has set stays in front: their trainer of the same name wins. Child processes inherit the variable and
    find our directory in it already.
    """
    if is_switched_off() or is_registered():
        return
    user_value = os.environ.get(SEARCH_PATH_VARIABLE)
    os.environ[SEARCH_PATH_VARIABLE] = os.pathsep.join((user_value, LOOKUP_FOLDER)) if user_value else LOOKUP_FOLDER
