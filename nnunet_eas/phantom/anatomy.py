"""Anatomy of one knee as a function of position: the tissue at a point.

The frame is that of a right knee, in mm: x to the patient's left (medial is positive), y to the back, z to the head;
the joint line is z = 0. Bones are blends of ellipsoids; cartilage is a layer of varying thickness on them.
"""

from __future__ import annotations

from enum import IntEnum
from functools import partial, reduce

import numpy as np

from nnunet_eas.phantom.shapes import Points, Waves, capsule, ellipsoid, ramp, smooth_union

HALF_GAP_MM = 2.2  # half the distance between the bones where they bear load: about the thickness of one cartilage
CORTEX_MM = 0.9


Tissue = IntEnum(
    "Tissue",
    "AIR FAT MUSCLE FLUID VESSEL LIGAMENT MENISCUS CORTEX MARROW PATELLAR_CARTILAGE FEMUR_CORTEX FEMUR_MARROW "
    "FEMORAL_CARTILAGE TIBIA_CORTEX TIBIA_MARROW TIBIAL_CARTILAGE",
    start=0,
)


class Anatomy:
    """One knee with its individual traits, drawn from a random generator in a fixed order."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.flexion = np.deg2rad(rng.uniform(-7, 7))
        self.bone_waves = Waves(rng, (18, 45))
        self.thickness_waves = Waves(rng, (9, 24))
        self.femoral_mm = rng.uniform(2.2, 2.9)
        self.tibial_mm = {+1: rng.uniform(2.1, 2.7), -1: rng.uniform(2.5, 3.2)}
        self.trochlea_depth_mm = rng.uniform(-1.5, 1.5)
        self.patella = (rng.uniform(-7, 1), rng.uniform(-47, -44), rng.uniform(27, 36))
        self.patellar_mm = rng.uniform(2.0, 3.2)
        self.effusion = rng.uniform(0.5, 1.1)
        self.fluid_film_mm = rng.uniform(0.1, 0.45)
        self.fat_mm = rng.uniform(4, 11)
        self.femoral_lesions = [self._femoral_lesion(rng, side) for side in _sides(rng)]
        self.tibial_lesions = [self._tibial_lesion(rng, side) for side in _sides(rng)]

    @staticmethod
    def _femoral_lesion(rng: np.random.Generator, side: int) -> tuple[np.ndarray, float, float]:
        """A worn spot where one condyle bears load: (centre, radius in mm, lost share of thickness)."""
        angle = np.deg2rad(rng.uniform(-40, 50))
        centre = (side * 23 + rng.uniform(-6, 6), 8 + 28 * np.sin(angle), 24 - 21.7 * np.cos(angle))
        return np.asarray(centre), rng.uniform(4, 8), rng.uniform(0.5, 0.95)

    @staticmethod
    def _tibial_lesion(rng: np.random.Generator, side: int) -> tuple[np.ndarray, float, float]:
        """A worn spot on one side of the plateau."""
        centre = (side * 21 + rng.uniform(-5, 5), 4 + rng.uniform(-9, 9), -HALF_GAP_MM)
        return np.asarray(centre), rng.uniform(3.5, 7), rng.uniform(0.5, 0.95)

    def tissue(self, points: Points) -> np.ndarray:
        """The index of the tissue (uint8) at each point of the frame."""
        bumps = self.bone_waves.at(points)
        unevenness = 1 + 0.13 * self.thickness_waves.at(points)
        bent = self._bend(points)
        femur, tibia = self._femur(bent) + 0.35 * bumps, self._tibia(points) - 0.3 * bumps
        femoral_mm = self._femoral_thickness(bent) * unevenness
        tibial_mm = self._tibial_thickness(points) * unevenness
        patella = ellipsoid(points, centre=self.patella, radii=(21, 9, 19)) + 0.4 * bumps

        result = self._soft_tissue(points)
        self._put_joint_space(result, points, femur - femoral_mm, tibia - tibial_mm)
        result[(femoral_mm > 1) & (femur < femoral_mm + self.fluid_film_mm)] = Tissue.FLUID
        patellar = (patella < self.patellar_mm) & (points[1] > self.patella[1] + 3) & (patella > 0)
        result[patellar & (np.abs(points[2] - self.patella[2] - 2) < 14)] = Tissue.PATELLAR_CARTILAGE

        # a point in both layers goes to the bone that is nearer in units of its own layer's thickness
        nearer_femur = femur * np.maximum(tibial_mm, 0.01) <= tibia * np.maximum(femoral_mm, 0.01)
        in_femoral, in_tibial = femur < femoral_mm, tibia < tibial_mm
        result[in_femoral & (nearer_femur | ~in_tibial)] = Tissue.FEMORAL_CARTILAGE
        result[in_tibial & (~nearer_femur | ~in_femoral)] = Tissue.TIBIAL_CARTILAGE

        for bone, cortex, marrow in (
            (patella, Tissue.CORTEX, Tissue.MARROW),
            (capsule(points, start=(-33, 22, -21), end=(-35, 18, -140), radius=6.5), Tissue.CORTEX, Tissue.MARROW),
            (tibia, Tissue.TIBIA_CORTEX, Tissue.TIBIA_MARROW),
            (femur, Tissue.FEMUR_CORTEX, Tissue.FEMUR_MARROW),
        ):
            result[bone <= 0] = cortex
            result[bone <= -CORTEX_MM] = marrow
        return result

    def _bend(self, points: Points) -> Points:
        """The femur's frame: flexed by a few degrees about the axis through the condyles."""
        x, y, z = points
        c, s = np.float32(np.cos(self.flexion)), np.float32(np.sin(self.flexion))
        y, z = y - 8, z - 24
        return x, c * y + s * z + 8, c * z - s * y + 24

    def _femur(self, points: Points) -> np.ndarray:
        height = 24 + HALF_GAP_MM - 2.3
        parts = (
            ellipsoid(points, centre=(23, 8, height), radii=(14, 29, 21.7)),
            ellipsoid(points, centre=(-23, 7, height), radii=(14.5, 28, 21.7)),
            ellipsoid(points, centre=(-14, -9, 31), radii=(16, 21 + self.trochlea_depth_mm, 21)),
            ellipsoid(points, centre=(13, -8, 31), radii=(15, 20, 20)),
            ellipsoid(points, centre=(0, 1, 48), radii=(35, 20, 27)),
            capsule(points, start=(0, -1, 56), end=(0, -3, 160), radius=14.5),
        )
        return reduce(partial(smooth_union, blend_mm=5.0), parts)

    def _femoral_thickness(self, points: Points) -> np.ndarray:
        """Thickness of the femoral layer in mm: on condyles and trochlea, not in the notch, on sides or shaft."""
        x, y, z = points
        angle = np.arctan2(y - 4, 27 - z)  # 0 points down, positive to the back
        along = ramp(angle, -2.35, -2.2) * ramp(angle, 2.05, 1.85)
        beside = np.abs(x)
        across = ramp(beside, 36.5, 34) * np.maximum(ramp(beside, 9, 11.5), ramp(angle, -0.5, -0.75))
        thickness = np.float32(self.femoral_mm) * along * across
        return thickness * self._worn(points, self.femoral_lesions)

    def _tibia(self, points: Points) -> np.ndarray:
        x, y, z = points
        medial = np.clip((x - 22) ** 2 / 170 + (y - 8) ** 2 / 150, 0, 3.5)
        lateral = np.clip((x + 22) ** 2 / 300 - (y - 7) ** 2 / 260, -3, 2)
        eminence = 8 * np.exp(-((x / 7) ** 2) - ((y - 3) / 12) ** 2)
        top = np.where(x > 0, medial, lateral) * ramp(np.abs(x), 0, 8) + eminence - HALF_GAP_MM

        taper = 0.42 + 0.58 * ramp(z, -62, -8)
        outline = np.sqrt(np.hypot(np.square(x / 38), np.square((y - 3) / 25)))
        wall = (outline / taper - 1) * 25 * taper
        plateau = -smooth_union(top - z, -wall, 5.0)  # the intersection of both, with a rounded edge
        tuberosity = ellipsoid(points, centre=(-3, -15, -38), radii=(9, 12, 16))
        return smooth_union(plateau, tuberosity, 8.0)

    def _tibial_thickness(self, points: Points) -> np.ndarray:
        """Thickness of the tibial layer in mm: one patch on each side of the eminence, on top of the plateau only."""
        x, y, z = points
        side = np.where(x > 0, 1, -1)
        patch = ((x - 21.5 * side) / 14.5) ** 2 + ((y - 4) / 20.5) ** 2
        centre_mm = np.where(x > 0, np.float32(self.tibial_mm[1]), np.float32(self.tibial_mm[-1]))
        thickness = centre_mm * ramp(patch, 1.12, 0.82) * (1.08 - 0.25 * patch) * ramp(z, -11, -8)
        return thickness * self._worn(points, self.tibial_lesions)

    @staticmethod
    def _worn(points: Points, lesions: list[tuple[np.ndarray, float, float]]) -> np.ndarray:
        """Share of the thickness that remains after wear (flat-bottomed craters)."""
        left = np.ones(1, dtype=np.float32)
        for centre, radius, lost in lesions:
            squared = sum((p - np.float32(c)) ** 2 for p, c in zip(points, centre, strict=True))
            left = left * (1 - np.float32(lost) * np.exp(-((squared / np.float32(radius**2)) ** 2)))
        return left

    def _soft_tissue(self, points: Points) -> np.ndarray:
        """The tissue around the joint: fat, muscle, tendons, ligaments, the vessels behind the knee, fluid."""
        x, y, z = points
        skin = (np.sqrt((x / 62) ** 2 + ((y - 2) / 61) ** 2) - 1) * 61
        result = np.where(skin < 0, np.uint8(Tissue.FAT), np.uint8(Tissue.AIR))
        deep = skin < -self.fat_mm
        result[deep & (y > 26 + 6 * np.cos(x / 14))] = Tissue.MUSCLE
        result[deep & (np.abs(x) > 40) & (y > -18)] = Tissue.MUSCLE
        result[deep & (z > 52) & (y > -36)] = Tissue.MUSCLE
        result[(np.hypot(x - 3, y - 38) < 4)] = Tissue.VESSEL

        pouch = ellipsoid(points, centre=(-2, -27, 60), radii=(19, 4.5 * self.effusion, 17))
        result[pouch < 0] = Tissue.FLUID
        px, py, pz = self.patella
        for start, end, radius in (
            ((px, py - 2, pz - 14), (-3.0, -29.0, -37.0), 3.4),
            ((px, py, pz + 14), (px, -34.0, 110.0), 4.2),
            ((3.0, -6.0, -2.0), (-9.0, 16.0, 24.0), 3.6),
            ((0.0, 25.0, -10.0), (7.0, 3.0, 18.0), 4.4),
        ):
            result[capsule(points, start=start, end=end, radius=radius) < 0] = Tissue.LIGAMENT
        return result

    def _put_joint_space(self, tissue: np.ndarray, points: Points, above: np.ndarray, below: np.ndarray) -> None:
        """Fills `tissue` between the cartilages with fluid and the two menisci, which are wedges around the contact.

        `above` and `below` are distances in mm to the surfaces of the femoral and the tibial cartilage.
        """
        x, y, _ = points
        patch = ((np.abs(x) - 22) / 16) ** 2 + ((y - 5) / 23) ** 2
        between = (above < 9) & (below < 9) & (above + below < 11)
        tissue[between & (patch < 1.6)] = Tissue.FLUID
        tissue[between & (patch > 0.28) & (patch < 1.35) & (above > 0.3) & (below > 0.3)] = Tissue.MENISCUS


def _sides(rng: np.random.Generator) -> list[int]:
    """The sides of one lesion or two: +1 is medial, -1 lateral."""
    first = int(rng.choice([1, -1]))
    return [first] if rng.random() < 0.5 else [first, -first]
