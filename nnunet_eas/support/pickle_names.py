"""The names that a pickle would load, found without loading it."""

from __future__ import annotations

import pickletools
from typing import Any

HARMLESS = frozenset(
    {
        *("collections.OrderedDict", "numpy.dtype", "numpy.ndarray", "_codecs.encode"),
        *(f"numpy.{core}.multiarray.{name}" for core in ("core", "_core") for name in ("scalar", "_reconstruct")),
        *("numpy.core.numeric._frombuffer", "numpy._core.numeric._frombuffer"),
    }
)
"""Names in nnU-Net's pickles of cases' properties."""


def names_in(content: bytes) -> set[str]:
    """MODULE.NAME of all functions and classes that a pickle names; a name that cannot be told is `?`.

    Python's own pickles push the two strings of a name right before they use it. Where something else lies on top, the
    name is `?`.

    Raises:
        ValueError: It is no pickle.
    """
    names: set[str] = set()
    strings: list[Any] = []  # what was pushed, the last at the end; None for what is no string or was taken away
    memo: dict[Any, Any] = {}
    for operation, argument, _ in pickletools.genops(content):
        kind = operation.name
        if kind in ("GLOBAL", "INST"):
            names.add(str(argument).replace(" ", ".", 1))
            strings.append(None)
        elif kind == "STACK_GLOBAL":
            module, name = strings[-2:] if len(strings) > 1 else (None, None)
            names.add(f"{module}.{name}" if isinstance(module, str) and isinstance(name, str) else "?")
            strings.append(None)
        elif kind.startswith("EXT"):
            names.add("?")
        elif kind in ("MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT"):
            memo[len(memo) if argument is None else argument] = strings[-1] if strings else None
        elif kind in ("GET", "BINGET", "LONG_BINGET"):
            strings.append(memo.get(argument))
        elif kind in ("POP", "POP_MARK") or isinstance(argument, str) or operation.stack_after:
            strings.append(argument if isinstance(argument, str) else None)
    return names
