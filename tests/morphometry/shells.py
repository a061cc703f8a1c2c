"""Layers whose volume, surface and thickness are known, drawn askew on a grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from nnunet_eas.morphometry.measures import measure
from nnunet_eas.morphometry.surface import surface_of
from nnunet_eas.morphometry.thickness import thickness_mm

OAI = (0.365, 0.365, 0.7)  # mm, in array order
RADIUS = 25.0
STRAIGHT = tuple(np.eye(3).ravel().tolist())


@dataclass(frozen=True)
class Layer:
    """What is known of a drawn mask."""

    mask: np.ndarray
    volume_mm3: float
    area_mm2: float


def draw(inside, low, high, spacing, rotation) -> np.ndarray:
    """A voxel belongs to a solid if its centre does: (z, y, x) of the grid around a turned box."""
    corners = rotation.apply(np.array(np.meshgrid(*zip(low, high), indexing="ij")).reshape(3, -1).T)
    # the offset has nothing to do with the spacing: no voxel's centre lies on a face
    start, stop = corners.min(axis=0) - 1.17, corners.max(axis=0) + 1
    axes = [np.arange(a, b, step) for a, b, step in zip(start, stop, spacing)]
    back = rotation.as_matrix()
    slices = (np.stack(np.broadcast_arrays(z, axes[1][:, None], axes[2][None]), axis=-1) @ back for z in axes[0])
    return np.stack([inside(points) for points in slices])


def layer(kind: str, thickness: float, seed: int, spacing=OAI) -> Layer:
    """Part of a sphere or a cylinder of 25 mm, or a plate; `seed` turns it."""
    rotation = Rotation.random(random_state=seed)
    inner, outer, half, length = RADIUS, RADIUS + thickness, 0.7, 22.0
    wide = outer * np.sin(half)
    if kind == "sphere":
        volume = 2 * np.pi / 3 * (1 - np.cos(half)) * (outer**3 - inner**3)
        area = 2 * np.pi * (1 - np.cos(half)) * (inner**2 + outer**2) + np.pi * np.sin(half) * (outer**2 - inner**2)
        low, high = (-wide, -wide, inner * np.cos(half)), (wide, wide, outer)

        def inside(p):
            r = np.linalg.norm(p, axis=-1)
            return (r > inner) & (r < outer) & (p[..., 2] > r * np.cos(half))
    elif kind == "cylinder":
        volume = half * (outer**2 - inner**2) * length
        area = 2 * half * length * (inner + outer) + 2 * volume / length + 2 * thickness * length
        low, high = (-wide, -length / 2, inner * np.cos(half)), (wide, length / 2, outer)

        def inside(p):
            r, angle = np.hypot(p[..., 0], p[..., 2]), np.arctan2(p[..., 0], p[..., 2])
            return (r > inner) & (r < outer) & (np.abs(angle) < half) & (np.abs(p[..., 1]) < length / 2)
    else:
        edges = np.array([30.0, length, thickness])
        volume, area = edges.prod(), 2 * (30 * length + (30 + length) * thickness)
        low, high = -edges / 2, edges / 2

        def inside(p):
            return (np.abs(p) < edges / 2).all(axis=-1)

    return Layer(draw(inside, low, high, spacing, rotation), volume, area)


def numbers_of(mask: np.ndarray, spacing=OAI, direction=STRAIGHT, bone: np.ndarray | None = None) -> dict[str, float]:
    """All numbers of a mask."""
    surface = surface_of(mask, spacing)
    on = surface_of(bone, spacing) if bone is not None else None
    return measure(surface, thickness_mm(surface), direction, on)
