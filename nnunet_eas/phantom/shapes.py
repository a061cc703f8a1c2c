"""Signed distances to simple solids, in mm, and their unions.

Negative inside, zero on the surface, positive outside. Points come as three arrays ``(x, y, z)`` that broadcast.
"""

from __future__ import annotations

import numpy as np

Points = tuple[np.ndarray, np.ndarray, np.ndarray]
Triple = tuple[float, float, float]


def ellipsoid(points: Points, *, centre: Triple, radii: Triple) -> np.ndarray:
    """Distance to an ellipsoid: exact to first order at the surface, where the cartilage is."""
    u, v, w = ((p - c) / r for p, c, r in zip(points, centre, radii, strict=True))
    level = np.sqrt(u * u + v * v + w * w)
    slope = np.sqrt((u / radii[0]) ** 2 + (v / radii[1]) ** 2 + (w / radii[2]) ** 2)
    return level * (level - 1) / np.maximum(slope, 1e-6)


def capsule(points: Points, *, start: Triple, end: Triple, radius: float) -> np.ndarray:
    """Distance to a cylinder with hemispherical ends."""
    axis = [e - s for s, e in zip(start, end, strict=True)]
    length_squared = sum(a * a for a in axis)
    relative = [p - s for p, s in zip(points, start, strict=True)]
    along = np.clip(sum(r * a for r, a in zip(relative, axis, strict=True)) / length_squared, 0, 1)
    squared = sum((r - along * a) ** 2 for r, a in zip(relative, axis, strict=True))
    return np.sqrt(squared) - radius


def smooth_union(first: np.ndarray, second: np.ndarray, blend_mm: float) -> np.ndarray:
    """Union whose seam is rounded over ``blend_mm``, because bone has no creases."""
    h = np.clip(blend_mm - np.abs(first - second), 0, None)
    return np.minimum(first, second) - h * h / (4 * blend_mm)


def ramp(values: np.ndarray, start: float, end: float) -> np.ndarray:
    """0 below ``start``, 1 above ``end``, a smooth cubic between (``start`` may exceed ``end``)."""
    t = np.clip((values - start) / (end - start), 0, 1)
    return t * t * (3 - 2 * t)


class Waves:
    """A smooth random field of zero mean and unit standard deviation: a few plane waves of random direction."""

    def __init__(self, rng: np.random.Generator, wavelengths_mm: tuple[float, float], number: int = 5) -> None:
        directions = rng.normal(size=(number, 3))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        self.frequencies = directions * (2 * np.pi / rng.uniform(*wavelengths_mm, size=(number, 1)))
        self.phases = rng.uniform(0, 2 * np.pi, size=number)

    def at(self, points: Points) -> np.ndarray:
        """The field's value at each point."""
        x, y, z = points
        waves = (
            np.sin(x * np.float32(kx) + y * np.float32(ky) + z * np.float32(kz) + np.float32(phase))
            for (kx, ky, kz), phase in zip(self.frequencies, self.phases, strict=True)
        )
        return np.add.reduce(list(waves)) * np.float32(np.sqrt(2 / len(self.phases)))
