"""One case of an archive: whose knee it is, where it lies in the scanner, and what its series is called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np

from nnunet_eas.phantom import Knee, knee

Flips = tuple[bool, bool, bool]
"""Whether a scan's columns, rows and order of slices are reversed against the usual."""

MOST_CASES = 1000
_ID_STEPS = (1, 1000)  # so that the last of the most cases still has seven digits
_FIRST_DAY = date(2004, 2, 16)
_DAYS = 800


@dataclass(frozen=True, eq=False)
class ArchiveCase:
    """What was written for one case, before any defect.

    Attributes:
        identifier: Seven digits, as OAI's.
        release: OAI's release that the scan belongs to, "0.C.2" or "0.E.1".
        side: "left" or "right".
        knee: Scan and labels, arrays (z, y, x) on a grid that runs to the patient's left, back and head.
        series: release / identifier / yyyymmdd / barcode, relative to the root of the scans.
        affine: (4, 4), voxel index (x, y, z) of those arrays -> position of the voxel's centre in mm, LPS.
    """

    identifier: str
    release: str
    side: str
    knee: Knee
    series: Path
    affine: np.ndarray

    def position(self, index_xyz: Sequence[float] | np.ndarray) -> np.ndarray:
        """Position in mm, LPS, of a voxel index (x, y, z), or of several: (..., 3) in and out."""
        return np.asarray(index_xyz) @ self.affine[:3, :3].T + self.affine[:3, 3]


def draw_identifiers(*, cases: int, seed: int) -> list[str]:
    """Ascending identifiers of seven digits; more cases do not change the first ones."""
    steps = np.random.default_rng(seed).integers(*_ID_STEPS, size=cases)
    return [str(9_000_000 + number) for number in np.cumsum(steps)]


def draw_case(
    *,
    identifier: str,
    index: int,
    seed: int,
    shape: tuple[int, int, int],
    spacing: tuple[float, float, float],
    side: str,
    obliquity_deg: float,
) -> ArchiveCase:
    """Draws one case; its neighbours in the archive have no influence on it.

    Args:
        identifier: Seven digits.
        index: The case's place in the archive.
        seed: The archive's.
        shape: Voxels, (z, y, x).
        spacing: mm, (z, y, x).
        side: "left" or "right".
        obliquity_deg: The grid is rotated by up to that.
    """
    rng = np.random.default_rng((seed, index))
    drawn = knee(seed=int(rng.integers(2**31)), shape=shape, spacing=spacing, side=side)
    day = _FIRST_DAY + timedelta(days=int(rng.integers(_DAYS)))
    barcode = str(rng.integers(10_000_000, 17_000_000))
    release = ("0.E.1", "0.C.2")[index % 2]
    return ArchiveCase(
        identifier=identifier,
        release=release,
        side=side,
        knee=drawn,
        series=Path(release, identifier, f"{day:%Y%m%d}", barcode),
        affine=_draw_affine(rng, drawn, obliquity_deg),
    )


def _draw_affine(rng: np.random.Generator, knee: Knee, obliquity_deg: float) -> np.ndarray:
    """A tilted grid whose centre lies where a knee lies: beside the midline, near the isocentre along the table."""
    spacing_xyz, shape_xyz = np.array(knee.spacing[::-1]), np.array(knee.image.shape[::-1])
    rotation = _rotation(rng.normal(size=3), np.deg2rad(rng.uniform(0, obliquity_deg)))
    centre = rng.uniform((60, -20, -40), (110, 20, 40)) * (1 if knee.side == "left" else -1, 1, 1)
    affine = np.eye(4)
    affine[:3, :3] = rotation * spacing_xyz
    affine[:3, 3] = centre - affine[:3, :3] @ ((shape_xyz - 1) / 2)
    return affine


def _rotation(axis: np.ndarray, angle: float) -> np.ndarray:
    """Rodrigues' formula."""
    x, y, z = axis / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
