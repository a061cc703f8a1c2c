"""One synthetic knee from a seed and a grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import maximum_filter, minimum_filter
from scipy.spatial.transform import Rotation

from nnunet_eas.phantom.anatomy import Anatomy, Tissue
from nnunet_eas.phantom.scanner import contrast, scan
from nnunet_eas.phantom.shapes import Points

# OAI-ZIB's, in the form of dataset.json; patella, fibula, menisci and ligaments are background
LABELS = {"background": 0, "femur": 1, "femoral_cartilage": 2, "tibia": 3, "tibial_cartilage": 4}

_LABEL_OF_TISSUE = np.zeros(len(Tissue), dtype=np.uint8)
_LABEL_OF_TISSUE[[Tissue.FEMUR_CORTEX, Tissue.FEMUR_MARROW]] = LABELS["femur"]
_LABEL_OF_TISSUE[Tissue.FEMORAL_CARTILAGE] = LABELS["femoral_cartilage"]
_LABEL_OF_TISSUE[[Tissue.TIBIA_CORTEX, Tissue.TIBIA_MARROW]] = LABELS["tibia"]
_LABEL_OF_TISSUE[Tissue.TIBIAL_CARTILAGE] = LABELS["tibial_cartilage"]

_CENTRE_MM = (0.0, -5.0, 5.0)  # of the grid in the frame of the knee (x, y, z): above the joint, towards the patella
_FINEST_MM = 0.5  # between the samples of a voxel
_MOST_SAMPLES = 4  # of a voxel along an axis
_CHUNK = 5000  # voxels that are sampled at a time


@dataclass(frozen=True)
class Knee:
    """One synthetic knee on an axis-aligned grid (z, y, x): to the patient's head, back and left."""

    image: np.ndarray  # int16; 1000 stands for a signal of 1
    segmentation: np.ndarray  # uint8, the one of LABELS that fills most of the voxel
    spacing: tuple[float, float, float]  # mm
    side: str  # "left" or "right"


def knee(
    *,
    seed: int,
    shape: tuple[int, int, int] = (112, 128, 28),
    spacing: tuple[float, float, float] = (0.8, 0.84, 3.2),
    side: str | None = None,
) -> Knee:
    """Draws one knee. The same arguments give the same knee; another seed gives another person.

    The knee has the same size in mm on every grid, so that a grid smaller than about 90 x 108 x 90 mm crops it. The
    spacing should be largest along x: across that axis nnU-Net's 2d configuration slices, and the slices are sagittal.

    `shape` is in voxels and `spacing` in mm, (z, y, x). `side` is "left", "right", or None to draw it from the seed.
    """
    if len(shape) != 3 or min(shape) < 1:
        raise ValueError(f"shape must hold three edges of at least one voxel, got {shape}. Give it as (z, y, x).")
    if len(spacing) != 3 or not all(0 < s < np.inf for s in spacing):
        raise ValueError(f"spacing must hold three positive numbers, got {spacing}. Give it in mm as (z, y, x).")
    if side not in ("left", "right", None):
        raise ValueError(f"side must be 'left', 'right' or None, got {side!r}. None draws it from the seed.")
    rng = np.random.default_rng(seed)
    drawn_side = str(rng.choice(["left", "right"]))
    side = side or drawn_side
    # each part draws from its own stream, so that a change to one does not change the others
    body, examination = rng.spawn(2)
    pose = _Pose(body, mirrored=side == "left")
    signal, segmentation = _sample(Anatomy(body), pose, shape, spacing, contrast(examination))
    return Knee(scan(signal, spacing, examination), segmentation, spacing, side)


class _Pose:
    """Maps scanner coordinates to the frame of the knee: size, small rotation, small shift, side."""

    def __init__(self, rng: np.random.Generator, *, mirrored: bool) -> None:
        size = rng.uniform(0.92, 1.08) * rng.uniform(0.97, 1.03, size=3)
        angles = rng.uniform((-6, -5, -7), (6, 5, 7))
        self.matrix = (Rotation.from_euler("xyz", angles, degrees=True).as_matrix() / size[:, None]).astype(np.float32)
        if mirrored:
            self.matrix = self.matrix * np.array([-1, 1, 1], dtype=np.float32)
        self.shift = (np.array(_CENTRE_MM) + rng.uniform(-3, 3, size=3)).astype(np.float32)

    def __call__(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> Points:
        first, second, third = (a * x + b * y + c * z + d for (a, b, c), d in zip(self.matrix, self.shift))
        return first, second, third


def _sample(
    anatomy: Anatomy, pose: _Pose, shape: tuple[int, int, int], spacing: tuple[float, float, float], levels: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Signal and majority label of each voxel, (z, y, x) both.

    One point decides a voxel among neighbours of the same tissue; any other is sampled at many (partial volume).
    """
    centred = (np.arange(edge) + 0.5 - edge / 2 for edge in shape)
    axes = [(index * step).astype(np.float32) for index, step in zip(centred, spacing, strict=True)]
    tissue = np.empty(shape, dtype=np.uint8)
    for index, x in enumerate(axes[2]):  # slice by slice, because the whole grid at full size would take gigabytes
        tissue[:, :, index] = anatomy.tissue(pose(x, axes[1][None, :], axes[0][:, None]))
    signal, segmentation = levels[tissue], _LABEL_OF_TISSUE[tissue]

    samples = [min(_MOST_SAMPLES, max(1, round(step / _FINEST_MM))) for step in spacing]
    within = [((np.arange(n) + 0.5) / n - 0.5) * step for n, step in zip(samples, spacing, strict=True)]
    offsets = [o.ravel().astype(np.float32) for o in np.meshgrid(*within, indexing="ij")]
    border = np.argwhere(maximum_filter(tissue, size=3) != minimum_filter(tissue, size=3))
    for start in range(0, len(border), _CHUNK):
        voxels = tuple(border[start : start + _CHUNK].T)
        z, y, x = (axis[v][:, None] + o for axis, v, o in zip(axes, voxels, offsets, strict=True))
        parts = anatomy.tissue(pose(x, y, z))
        signal[voxels] = levels[parts].mean(axis=1)
        labels = _LABEL_OF_TISSUE[parts]
        votes = [np.count_nonzero(labels == label, axis=1) for label in LABELS.values()]
        segmentation[voxels] = np.argmax(votes, axis=0)
    return signal, segmentation
