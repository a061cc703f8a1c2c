"""What is compared: labels, or unions of labels, by name."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Structures:
    """The structures of a dataset.

    Attributes:
        values: Per structure, the values in a mask that belong to it; more than one for a region.
        ignore: The value of voxels that are not scored, or None.
        known: Every value that a mask may hold; None where nothing says so.
    """

    values: Mapping[str, tuple[int, ...]]
    ignore: int | None = None
    known: frozenset[int] | None = None


def read_dataset_json(path: Path) -> dict[str, Any]:
    """The content of nnU-Net's dataset.json.

    Raises:
        FileNotFoundError: It is not there.
        ValueError: It is none of nnU-Net v2.
    """
    if not path.is_file():
        raise FileNotFoundError(f"-djfile must be a file, got {path}. Correct the path.")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        labels = content["labels"]
        is_valid = all(isinstance(value, (int, list)) for value in labels.values())
    except (ValueError, KeyError, TypeError, AttributeError):
        is_valid = False
    if not is_valid:
        raise ValueError(
            f"-djfile must be nnU-Net v2's dataset.json with labels as name: number, got {path}. Give the one beside "
            "the raw images or the trained model."
        )
    return content


def structures_of_dataset(labels: Mapping[str, int | Sequence[int]]) -> Structures:
    """Everything that dataset.json's `labels` name but the background and the ignore label.

    Raises:
        ValueError: A region holds the background or the ignore label.
    """
    values = {name: (value,) if isinstance(value, int) else tuple(value) for name, value in labels.items()}
    known = frozenset(value for of_one in values.values() for value in of_one)
    ignore = values.pop("ignore", (None,))[0]
    values = {name: of_one for name, of_one in values.items() if set(of_one) != {0}}
    for name, of_one in values.items():
        if 0 in of_one or ignore in of_one:
            raise ValueError(
                f"a region must hold neither background nor ignore label, got {list(of_one)} for {name}. Mend -djfile."
            )
    return Structures(values, ignore, known)


def chosen(labels: Iterable[int], among: Structures) -> Structures:
    """The single labels that a user asks for, by the dataset's names where it has some.

    Raises:
        ValueError: One is the background or the ignore label, or the dataset does not know it.
    """
    labels = list(dict.fromkeys(labels))
    foreign = [label for label in labels if label < 1 or label == among.ignore]
    if foreign:
        raise ValueError(f"-l must name foreground labels, got {_listed(foreign)}. Leave them out.")
    unknown = [label for label in labels if among.known is not None and label not in among.known]
    if unknown:
        known = _listed(sorted((among.known or frozenset()) - {0, among.ignore}))
        raise ValueError(f"-l must name labels of dataset.json, got {_listed(unknown)}. It has {known}.")
    names = {of_one: name for name, of_one in among.values.items()}
    return replace(among, values={names.get((label,), str(label)): (label,) for label in labels})


def _listed(labels: Iterable[int | None]) -> str:
    return " ".join(map(str, labels))
