"""Oddities of a mask on its scan: no reason to refuse the case, but a person should look at it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from scipy import ndimage

from dataset_conversion.label_schemes import BONES, CARTILAGES

ALONE_MM = 5.0  # an isolated cluster has nothing else of the mask around it within this distance
SHIFT_MM = 1.5  # smallest displacement of the outline that is reported
_FARTHEST_MM = 8.0
_SMALL = 0.01  # of the mask
_MOST_PAIRS = 20000
_KINDS = {"bone": BONES, "cartilage": CARTILAGES}


def anomalies(
    image: np.ndarray,
    mask: np.ndarray,
    structures: Mapping[int, str],
    spacing: tuple[float, float, float],
    counts: np.ndarray,
) -> list[str]:
    """One sentence for each oddity of a mask with a source's numbers; axes z, y, x; `counts` of all 256 numbers."""
    found = [f"no {name.replace('_', ' ')}" for number, name in structures.items() if not counts[number]]
    if not counts[1:].any():
        return found
    found += _isolated_clusters(mask, structures, spacing)

    numbers = {kind: [n for n, s in structures.items() if s in names] for kind, names in _KINDS.items()}
    if all(counts[of_kind].sum() for of_kind in numbers.values()):
        if counts[numbers["cartilage"]].sum() > counts[numbers["bone"]].sum():
            found.append("more cartilage than bone: another source's labels?")
        cartilage = ndimage.find_objects(np.isin(mask, numbers["cartilage"]).astype(np.uint8))[0]
        margins = [int(np.ceil(_FARTHEST_MM / s)) for s in spacing]
        box = tuple(slice(max(used.start - m, 0), used.stop + m) for used, m in zip(cartilage, margins))
        found += _contrast(image[box], mask[box], numbers, spacing)
    return found


def _isolated_clusters(
    mask: np.ndarray, structures: Mapping[int, str], spacing: tuple[float, float, float]
) -> Iterator[str]:
    around = [int(np.ceil(ALONE_MM / s / 2)) for s in spacing]
    clusters, n = ndimage.label(_halved(mask > 0), structure=np.ones((3, 3, 3)))  # an eighth of the voxels
    sizes = np.bincount(clusters.ravel(), minlength=n + 1)
    for cluster, half_box in enumerate(ndimage.find_objects(clusters), start=1):
        if sizes[cluster] > _SMALL * sizes[1:].sum():
            continue
        wider = tuple(slice(max(s.start - m, 0), s.stop + m) for s, m in zip(half_box, around))
        if not np.isin(clusters[wider], (0, cluster)).all():
            continue
        # the box holds no other cluster
        box = tuple(slice(2 * s.start, 2 * s.stop) for s in half_box)
        points = np.argwhere(mask[box])
        z, y, x = points.mean(axis=0).astype(int) + [s.start for s in box]
        names = {structures.get(int(n), str(n)).replace("_", " ") for n in np.unique(mask[box]) if n}
        yield f"isolated cluster of {len(points)} voxels ({', '.join(sorted(names))}) at x {x}, y {y}, z {z}"


def _halved(mask: np.ndarray) -> np.ndarray:
    """The mask on a grid of half the size: set where any of the 2 x 2 x 2 voxels is."""
    for axis in range(mask.ndim):
        first, second = (mask[(slice(None),) * axis + (slice(start, None, 2),)] for start in (0, 1))
        mask = first.copy()
        mask[(slice(None),) * axis + (slice(0, second.shape[axis]),)] |= second
    return mask


def _contrast(
    image: np.ndarray, mask: np.ndarray, numbers: Mapping[str, list[int]], spacing: tuple[float, float, float]
) -> Iterator[str]:
    """Cartilage must be brighter than bone, as in all sequences for it, and the step must lie where the mask has it."""
    bone, cartilage = (np.isin(mask, numbers[kind]) for kind in ("bone", "cartilage"))
    if image[cartilage].mean() <= image[bone].mean():
        yield "cartilage is darker than bone: inverted contrast, or the mask lies elsewhere"
        return
    points, steps = _across_the_border(bone, cartilage)
    if not len(points):
        return
    in_place = _step_height(image, points, steps, np.zeros(3, dtype=int))
    for axis, name in enumerate("zyx"):
        reach = int(_FARTHEST_MM / spacing[axis])
        shifts = [s for s in range(-reach, reach + 1) if abs(s) * spacing[axis] >= SHIFT_MM]
        heights = [_step_height(image, points, steps, np.eye(3, dtype=int)[axis] * s) for s in shifts]
        if heights and max(heights) > max(1.5 * in_place, 0.02 * float(np.ptp(image))):
            moved_mm = shifts[int(np.argmax(heights))] * spacing[axis]
            yield f"the outline seems shifted: the scan's own border lies {moved_mm:+.1f} mm along {name}"
            return


def _across_the_border(bone: np.ndarray, cartilage: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bone voxels that touch cartilage along y or z, and the unit steps into the cartilage; both (n, 3)."""
    points, steps = [], []
    for axis, sign in ((0, 1), (0, -1), (1, 1), (1, -1)):
        points.append(np.argwhere(bone & np.roll(cartilage, -sign, axis=axis)))
        steps.append(np.broadcast_to(np.eye(3, dtype=int)[axis] * sign, points[-1].shape))
    all_points, all_steps = np.concatenate(points), np.concatenate(steps)
    every = max(1, len(all_points) // _MOST_PAIRS)
    return all_points[::every], all_steps[::every]


def _step_height(image: np.ndarray, points: np.ndarray, steps: np.ndarray, shift: np.ndarray) -> float:
    """The mean rise of intensity from a voxel before the border to one behind it."""
    last = np.asarray(image.shape) - 1
    before = np.clip(points - steps + shift, 0, last)
    behind = np.clip(points + 2 * steps + shift, 0, last)
    return float(image[tuple(behind.T)].astype(float).mean() - image[tuple(before.T)].astype(float).mean())
