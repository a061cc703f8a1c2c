"""The bone that a cartilage lies on."""

from __future__ import annotations

from collections.abc import Mapping

from nnunet_eas.evaluation.structures import Structures

BY_NAME = {"femoral_cartilage": "femur", "tibial_cartilage": "tibia", "patellar_cartilage": "patella"}
"""Part of a cartilage's name, and its bone's name: those of the converted knee datasets."""

Bones = dict[str, tuple[int, ...]]
"""By measured structure that lies on a bone, the bone's label values."""


def known_bones(structures: Structures, measured: Structures) -> Bones:
    """The pairs that the dataset names as in `BY_NAME`."""
    bones = structures.values
    return {
        name: bones[bone]
        for part, bone in BY_NAME.items()
        for name in measured.values
        if part in name and bone in bones
    }


def given_bones(pairs: Mapping[str | int, str | int], structures: Structures, measured: Structures) -> Bones:
    """The bones of cartilages, each side a name or a number.

    Raises:
        ValueError: One side is unknown, or the cartilage is not measured.
    """
    found = {}
    names = {values: name for name, values in measured.values.items()}
    for sides in pairs.items():
        pair = "=".join(map(str, sides))
        cartilage, bone = (_values(str(side), structures, pair) for side in sides)
        if cartilage not in names:
            raise ValueError(f"bones must name cartilages that are measured, got {pair}. Add it to labels (-l).")
        found[names[cartilage]] = bone
    return found


def _values(side: str, structures: Structures, pair: str) -> tuple[int, ...]:
    values = structures.values.get(side) or ((int(side),) if side.isdecimal() else ())
    if not values or 0 in values or not set(values) <= (structures.known or set(values)):
        raise ValueError(f"bones must hold labels' names or numbers, got {side!r} in {pair}. Correct it.")
    return values
