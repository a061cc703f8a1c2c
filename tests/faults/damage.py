"""Ways in which a file can be damaged, drawn by Hypothesis."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import strategies as st

ODD_VALUES = [
    None,
    True,
    [],
    {},
    "",
    "abc",
    "../../x",
    -1,
    0,
    1e308,
    float("nan"),
    2**70,
    [0],
    [None],
    {"a": [1]},
    "\n\0",
]


@st.composite
def damaged_bytes(draw: st.DrawFn, content: bytes) -> bytes:
    """The bytes cut off, changed, exchanged, or replaced by something else."""
    kind = draw(st.sampled_from(["cut", "change", "insert", "random", "empty", "brackets", "nul"]))
    if kind == "cut":
        return content[: draw(st.integers(0, max(0, len(content) - 1)))]
    if kind == "change":
        changed = bytearray(content)
        for _ in range(draw(st.integers(1, 20))):
            changed[draw(st.integers(0, len(content) - 1))] = draw(st.integers(0, 255))
        return bytes(changed)
    if kind == "insert":
        place = draw(st.integers(0, len(content)))
        return content[:place] + draw(st.binary(min_size=1, max_size=50)) + content[place:]
    if kind == "random":
        return draw(st.binary(max_size=300))
    return {"empty": b"", "brackets": b"[" * 100_000, "nul": bytes(len(content))}[kind]


@st.composite
def damaged_json(draw: st.DrawFn, content: Any) -> bytes:
    """A JSON file with another value in one place, or without it, or damaged as bytes."""
    if draw(st.integers(0, 3)) == 0:
        return draw(damaged_bytes(json.dumps(content).encode()))
    holder: Any = {"": copy.deepcopy(content)}
    place, key = holder, ""
    while isinstance(place[key], (dict, list)) and place[key] and draw(st.integers(0, 4)):
        place = place[key]
        key = draw(st.sampled_from(list(place) if isinstance(place, dict) else list(range(len(place)))))
    if isinstance(place, dict) and place is not holder and draw(st.booleans()):
        del place[key]
    else:
        place[key] = draw(st.sampled_from(ODD_VALUES))
    return json.dumps(holder[""]).encode()
