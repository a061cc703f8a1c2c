"""The marks of models and structures: Okabe and Ito's colours, and always a second cue."""

from __future__ import annotations

_ON_WHITE = ("#0072B2", "#D55E00", "#009E73", "#000000", "#CC79A7")
_ON_GREY = ("#E69F00", "#56B4E9", "#F0E442", "#CC79A7", "#009E73", "#D55E00")
_DASHES = ("", "7 3", "2 2", "8 2 2 2")

# around (0, 0), of about the same area
_MARKERS = (
    "M-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0z",
    "M-2.7-2.7h5.4v5.4h-5.4z",
    "M0-3.7l3.5 6.4h-7z",
    "M0-3.9l3.3 3.9l-3.3 3.9l-3.3-3.9z",
    "M-3-1h2v-2h2v2h2v2h-2v2h-2v-2h-2z",
)


def model_mark(index: int) -> tuple[str, str, str]:
    """The colour, the line's dashes and the marker's path of a model, by its place."""
    turn = index // len(_ON_WHITE)
    return _ON_WHITE[index % len(_ON_WHITE)], _DASHES[(index + turn) % len(_DASHES)], _MARKERS[index % len(_MARKERS)]


def structure_mark(index: int) -> tuple[str, str]:
    """The colour and the outline's dashes of a structure, by its place."""
    turn = index // len(_ON_GREY)
    return _ON_GREY[index % len(_ON_GREY)], _DASHES[(index + turn) % len(_DASHES)]
