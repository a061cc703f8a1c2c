"""Label schemes: the structures that a dataset distinguishes, and their numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

ZIB = {1: "femur", 2: "femoral_cartilage", 3: "tibia", 4: "tibial_cartilage"}
CARTILAGES = ("femoral_cartilage", "tibial_cartilage", "medial_tibial_cartilage", "lateral_tibial_cartilage")
BONES = ("femur", "tibia")
_MERGED = {"medial_tibial_cartilage": "tibial_cartilage", "lateral_tibial_cartilage": "tibial_cartilage"}


@dataclass(frozen=True)
class LabelScheme:
    """A dataset's labels.

    The structures are numbered from 1; a source's other structures become background. The regions are overlapping
    structures for region-based training, with their numbers, in the order in which nnU-Net writes them over each other.
    """

    name: str  # as in the command
    structures: tuple[str, ...]
    regions: Mapping[str, tuple[int, ...]]

    @property
    def is_sided(self) -> bool:
        """Whether mirroring left and right would turn one structure into another."""
        return any(name in _MERGED for name in self.structures)

    def labels(self, as_regions: bool = False) -> dict[str, int | list[int]]:
        """`labels` of dataset.json."""
        if as_regions:
            return {"background": 0, **{name: list(numbers) for name, numbers in self.regions.items()}}
        return {"background": 0, **{name: number for number, name in enumerate(self.structures, start=1)}}

    def regions_class_order(self) -> list[int]:
        """`regions_class_order` of dataset.json: the number that each region's own part has in a mask."""
        regions = [set(numbers) for numbers in self.regions.values()]
        # a later region is written over an earlier one, which keeps what no later one takes
        return [min(region - set().union(*regions[i + 1 :])) for i, region in enumerate(regions)]

    def lookup(self, source: Mapping[int, str]) -> np.ndarray:
        """The number in this scheme for each number of a source, (256,), uint8."""
        numbers = {name: number for number, name in enumerate(self.structures, start=1)}
        table = np.zeros(256, dtype=np.uint8)
        for number, structure in source.items():
            table[number] = numbers.get(structure) or numbers.get(_MERGED.get(structure, ""), 0)
        if missing := [name for name, number in numbers.items() if number not in table]:
            raise ValueError(
                f"labels must be a scheme whose structures the source holds, got {self.name}, and "
                f"{', '.join(missing)} is not there. Choose another --labels."
            )
        return table


_CARTILAGE = LabelScheme(
    "cartilage", ("femoral_cartilage", "tibial_cartilage"), {"cartilage": (1, 2), "tibial_cartilage": (2,)}
)
_CARTILAGE_AND_BONE = LabelScheme(
    "cartilage-and-bone",
    ("femur", "femoral_cartilage", "tibia", "tibial_cartilage"),
    {
        "femur_with_cartilage": (1, 2),
        "femoral_cartilage": (2,),
        "tibia_with_cartilage": (3, 4),
        "tibial_cartilage": (4,),
    },
)
_SIDED = LabelScheme(
    "sided",
    ("femur", "femoral_cartilage", "tibia", "medial_tibial_cartilage", "lateral_tibial_cartilage"),
    {
        "femur_with_cartilage": (1, 2),
        "femoral_cartilage": (2,),
        "tibia_with_cartilage": (3, 4, 5),
        "tibial_cartilage": (4, 5),
        "lateral_tibial_cartilage": (5,),
    },
)
SCHEMES = {scheme.name: scheme for scheme in (_CARTILAGE, _CARTILAGE_AND_BONE, _SIDED)}


def count(labels: np.ndarray) -> np.ndarray:
    """Voxels of each number of a uint8 mask, (256,)."""
    # slice by slice, because numpy would widen the whole mask eightfold
    return sum((np.bincount(part.ravel(), minlength=256) for part in labels), np.zeros(256, dtype=np.int64))
