"""One case of an archive: the knee, its place in the scanner, and its names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from nnunet_eas.phantom import Knee, knee

MOST_CASES = 1000
RELEASES = ("0.E.1", "0.C.2")  # of the scans, OAI's
_ID_STEPS = (1, 1000)  # the last identifier of MOST_CASES still has seven digits
_FIRST_DAY = date(2004, 2, 16)
_DAYS = 800


@dataclass(frozen=True, eq=False)
class ArchiveCase:
    """One knee of an archive."""

    identifier: str  # seven digits, as OAI's
    release: str
    side: str
    knee: Knee  # on a grid that runs to the patient's left, back and head
    series: Path  # release / identifier / yyyymmdd / barcode, relative to the root of the scans
    affine: np.ndarray  # (4, 4), from voxel index (x, y, z) to the position of the voxel's centre, LPS mm

    def position(self, index_xyz: Sequence[float] | np.ndarray) -> np.ndarray:
        """Positions, LPS mm, of voxel indices (x, y, z): (..., 3) in and out."""
        return np.asarray(index_xyz) @ self.affine[:3, :3].T + self.affine[:3, 3]


def draw_identifiers(*, cases: int, seed: int) -> list[str]:
    """Ascending identifiers of seven digits; a larger number of cases begins with the same ones."""
    steps = np.random.default_rng(seed).integers(*_ID_STEPS, size=cases)
    return [str(9_000_000 + number) for number in np.cumsum(steps)]


def draw_case(place: tuple[int, int], identifier: str, obliquity_deg: float, *, side: str, **grid: Any) -> ArchiveCase:
    """Draws the case of a place, (seed, index); `side` and `grid` are arguments of `knee`."""
    rng, release = np.random.default_rng(place), RELEASES[place[1] % 2]
    drawn = knee(seed=int(rng.integers(2**31)), side=side, **grid)
    day = _FIRST_DAY + timedelta(days=int(rng.integers(_DAYS)))
    series = Path(release, identifier, f"{day:%Y%m%d}", str(rng.integers(10_000_000, 17_000_000)))
    return ArchiveCase(identifier, release, side, drawn, series, _draw_affine(rng, drawn, obliquity_deg))


def _draw_affine(rng: np.random.Generator, knee: Knee, obliquity_deg: float) -> np.ndarray:
    """A tilted grid with its centre beside the midline, near the isocentre along the table."""
    spacing_xyz, shape_xyz = np.array(knee.spacing[::-1]), np.array(knee.image.shape[::-1])
    axis = rng.normal(size=3)
    x, y, z = axis / np.linalg.norm(axis)
    angle = np.deg2rad(rng.uniform(0, obliquity_deg))
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    rotation = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross  # Rodrigues' formula
    centre = rng.uniform((60, -20, -40), (110, 20, 40)) * (1 if knee.side == "left" else -1, 1, 1)
    affine = np.eye(4)
    affine[:3, :3] = rotation * spacing_xyz
    affine[:3, 3] = centre - affine[:3, :3] @ ((shape_xyz - 1) / 2)
    return affine
