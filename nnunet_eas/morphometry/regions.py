"""Regions of a surface along the patient's axes."""

from __future__ import annotations

import numpy as np

SIDES = ("right", "left")
THIRDS = ("anterior", "central", "posterior")
REGIONS = tuple(f"{side}_{third}" for side in SIDES for third in THIRDS)

_OUTLIERS = 0.5
"""Percent of the points at each end that do not count for the extent, because masks have stray voxels."""


def in_patient(vectors: np.ndarray, direction: tuple[float, ...]) -> np.ndarray:
    """Vectors (n, 3) along an array's axes (z, y, x), in LPS: x to the patient's left, y to the back, z to the head."""
    return vectors[:, ::-1] @ np.reshape(direction, (3, 3)).T


def regions_of(points: np.ndarray) -> np.ndarray:
    """The number in `REGIONS` for each point (n, 3) in LPS."""
    low, high = np.percentile(points, [_OUTLIERS, 100 - _OUTLIERS], axis=0)
    share = (points - low) / np.maximum(high - low, 1e-9)
    side = share[:, 0] > 0.5
    third = np.clip((3 * share[:, 1]).astype(int), 0, 2)
    return len(THIRDS) * side + third
