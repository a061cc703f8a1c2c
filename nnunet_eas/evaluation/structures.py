"""The structures that are compared or measured: labels, or unions of labels, by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import SimpleITK as sitk

from nnunet_eas.evaluation.mask_file import read_mask
from nnunet_eas.support.files import read_json
from nnunet_eas.support.parallel import all_results

_MOST_LISTED = 20  # labels in a message
_MOST_LABELS = 255  # that a folder of masks holds; scans hold more


@dataclass(frozen=True)
class Structures:
    """The structures of a dataset."""

    values: Mapping[str, tuple[int, ...]]  # label values by structure; more than one for a region
    ignore: int | None = None  # the value of voxels that are not scored, or None
    known: frozenset[int] | None = None  # all values that a mask may hold; None where no dataset.json limits them

    def check_labels(self, labels: Iterable[int], side: str) -> None:
        """Raises ValueError where a mask holds labels that the dataset does not know."""
        unknown = [] if self.known is None else sorted(set(labels) - self.known)
        if unknown:
            raise ValueError(
                f"the {side} must hold labels of dataset.json only, got {_listed(unknown)}. Correct the mask, or give "
                "another dataset.json (-djfile)."
            )


def read_dataset_json(path: Path, argument: str = "dataset_json (-djfile)") -> dict[str, Any]:
    """Reads nnU-Net's dataset.json."""
    content = read_json(path, argument)
    labels = content.get("labels") if isinstance(content, dict) else None
    if not isinstance(labels, dict) or not all(isinstance(value, (int, list)) for value in labels.values()):
        raise ValueError(
            f"{argument} must be nnU-Net v2's dataset.json with labels as name: number, got {path}. Give the one "
            "beside the raw images or the trained model."
        )
    return content


def structures_of_dataset(labels: Mapping[str, int | Sequence[int]]) -> Structures:
    """All entries of dataset.json's `labels` but the background and the ignore label."""
    values = {name: (value,) if isinstance(value, int) else tuple(value) for name, value in labels.items()}
    known = frozenset(value for of_one in values.values() for value in of_one)
    ignore = values.pop("ignore", (None,))[0]
    values = {name: of_one for name, of_one in values.items() if set(of_one) != {0}}
    for name, of_one in values.items():
        if 0 in of_one or ignore in of_one:
            raise ValueError(
                f"a region in dataset.json must hold neither the background nor the ignore label, got {list(of_one)} "
                f"for {name}. Correct dataset.json."
            )
    return Structures(values, ignore, known)


def find_structures(dataset_json: str | Path | None, folder: Path | None) -> tuple[Structures, str | None]:
    """The structures and the file ending of a dataset.json, or of the one in `folder`; no structures without either."""
    if dataset_json is None and folder is not None and (folder / "dataset.json").is_file():
        dataset_json = folder / "dataset.json"
    if dataset_json is None:
        return Structures({}), None
    content = read_dataset_json(Path(dataset_json))
    return structures_of_dataset(content["labels"]), content.get("file_ending")


def chosen(labels: int | Iterable[int], among: Structures) -> Structures:
    """The single labels that a user asks for, by the dataset's names where it has some."""
    labels = [labels] if isinstance(labels, int) else list(dict.fromkeys(labels))
    foreign = [label for label in labels if label < 1 or label == among.ignore]
    if foreign:
        raise ValueError(f"labels (-l) must be of the foreground, got {_listed(foreign)}. Leave them out.")
    unknown = [label for label in labels if among.known is not None and label not in among.known]
    if unknown:
        known = _listed(sorted((among.known or frozenset()) - {0, among.ignore}))
        raise ValueError(f"labels (-l) must be in dataset.json, got {_listed(unknown)}. Choose from {known}.")
    names = {of_one: name for name, of_one in among.values.items()}
    return replace(among, values={names.get((label,), str(label)): (label,) for label in labels})


def labels_in(masks: Sequence[Path | sitk.Image], workers: int, progress: bool) -> list[int]:
    """All foreground labels of the masks that can be read; the faults of the others show when they are used.

    Raises:
        ValueError: There are so many labels that the files are scans.
    """
    found = all_results(_labels, masks, workers=workers, description="reading labels", progress=progress)
    labels = sorted(frozenset[int]().union(*found))
    if len(labels) > _MOST_LABELS:
        raise ValueError(
            f"masks must hold labels, got {len(labels)} different numbers, which look like a scan's. Give masks, or "
            "the labels to take (-l)."
        )
    return labels


def _labels(mask: Path | sitk.Image) -> frozenset[int]:
    try:
        return frozenset(read_mask(mask).boxes())
    except ValueError:
        return frozenset()


def _listed(labels: Iterable[int | None]) -> str:
    first = list(map(str, labels))
    more = len(first) - _MOST_LISTED
    return " ".join(first) if more <= 0 else f"{' '.join(first[:_MOST_LISTED])} and {more} more"
