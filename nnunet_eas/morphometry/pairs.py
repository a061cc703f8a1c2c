"""Which bone a cartilage lies on."""

from __future__ import annotations

from collections.abc import Sequence

from nnunet_eas.evaluation.structures import Structures

BY_NAME = {"femoral_cartilage": "femur", "tibial_cartilage": "tibia", "patellar_cartilage": "patella"}
"""What a cartilage's name contains, and its bone's name: those of the converted knee datasets."""

Bones = dict[str, tuple[int, ...]]
"""Per measured structure that lies on a bone, the bone's values."""


def known_bones(structures: Structures, measured: Structures) -> Bones:
    """Those that the dataset names as in `BY_NAME`."""
    bones = structures.values
    return {
        name: bones[bone]
        for part, bone in BY_NAME.items()
        for name in measured.values
        if part in name and bone in bones
    }


def given_bones(pairs: Sequence[str], structures: Structures, measured: Structures) -> Bones:
    """Those of pairs CARTILAGE=BONE, each side a name or a number.

    Raises:
        ValueError: It is no pair, one side is unknown, or the cartilage is not measured.
    """
    found = {}
    names = {values: name for name, values in measured.values.items()}
    for pair in pairs:
        sides = pair.split("=")
        if len(sides) != 2:
            raise ValueError(f"--bones must be pairs CARTILAGE=BONE, got {pair}. Give for example 2=1.")
        cartilage, bone = (_values(side, structures, pair) for side in sides)
        if cartilage not in names:
            raise ValueError(f"--bones must name cartilages that are measured, got {pair}. Add it to -l.")
        found[names[cartilage]] = bone
    return found


def _values(side: str, structures: Structures, pair: str) -> tuple[int, ...]:
    values = structures.values.get(side) or ((int(side),) if side.isdecimal() else ())
    if not values or 0 in values or not set(values) <= (structures.known or set(values)):
        raise ValueError(f"--bones must hold labels' names or numbers, got {side!r} in {pair}. Correct it.")
    return values
