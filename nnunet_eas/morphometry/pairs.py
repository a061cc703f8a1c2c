"""Which bone a cartilage lies on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nnunet_eas.evaluation.structures import Structures

BY_NAME = {"femoral_cartilage": "femur", "tibial_cartilage": "tibia", "patellar_cartilage": "patella"}
"""What a cartilage's name contains, and its bone's name: those of the converted knee datasets."""


def known_bones(structures: Structures) -> dict[str, tuple[int, ...]]:
    """The bone's values for each cartilage that the dataset names as in `BY_NAME`."""
    values = structures.values
    return {name: values[bone] for part, bone in BY_NAME.items() for name in values if part in name and bone in values}


def given_bones(
    pairs: Sequence[str], structures: Structures, measured: Mapping[str, object]
) -> dict[str, tuple[int, ...]]:
    """The bone's values for each cartilage of CARTILAGE=BONE, both by name or number.

    Args:
        pairs: As typed.
        structures: The dataset's.
        measured: The structures that are measured, by name.

    Raises:
        ValueError: It is no pair, or one of the two is unknown.
    """
    found = {}
    names = {values: name for name, values in structures.values.items()}
    for pair in pairs:
        sides = [_values(side, structures, pair) for side in pair.split("=")]
        if len(sides) != 2:
            raise ValueError(f"--bones must be pairs CARTILAGE=BONE, got {pair}. Give for example 2=1.")
        cartilage, bone = sides
        name = names.get(cartilage, "+".join(map(str, cartilage)))
        if name not in measured:
            raise ValueError(f"--bones must name cartilages that are measured, got {pair}. Add it to -l.")
        found[name] = bone
    return found


def _values(side: str, structures: Structures, pair: str) -> tuple[int, ...]:
    values = structures.values.get(side) or ((int(side),) if side.isdecimal() else ())
    if not values or 0 in values or not set(values) <= (structures.known or set(values)):
        raise ValueError(f"--bones must hold labels' names or numbers, got {side!r} in {pair}. Correct it.")
    return values
