"""Small picture of one case: the sagittal slice with most cartilage, and the outline of the mask."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image
from scipy import ndimage

HEIGHT = 240
COLOURS = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (213, 94, 0))
"""Colours of the numbers 1, 2, ...: Okabe and Ito's, which colour-blind people can tell apart."""


def tile(image: np.ndarray, mask: np.ndarray, spacing: tuple[float, float, float], wanted: list[int]) -> bytes:
    """Draws the slice with most voxels of the `wanted` numbers as PNG; head up, front to the left.

    The arrays are (z, y, x) in LPS, the spacing too, in mm. Without such voxels, it is the middle slice.
    """
    area = np.isin(mask[::2, ::2], wanted).sum(axis=(0, 1))  # a quarter of the voxels suffices
    x = int(area.argmax()) if area.any() else mask.shape[2] // 2
    plane, labels = image[::-1, :, x].astype(float), mask[::-1, :, x]

    low, high = np.percentile(plane, (1, 99))
    grey = np.clip((plane - low) / max(high - low, 1e-6), 0, 1) * 255
    size = (max(1, round(HEIGHT * plane.shape[1] * spacing[1] / (plane.shape[0] * spacing[0]))), HEIGHT)
    picture = np.asarray(Image.fromarray(grey.astype(np.uint8)).resize(size, Image.Resampling.BILINEAR).convert("RGB"))
    picture, shown = picture.copy(), np.asarray(Image.fromarray(labels).resize(size, Image.Resampling.NEAREST))
    for number in np.unique(shown[shown > 0]):
        inside = shown == number
        outline = inside & ~ndimage.binary_erosion(inside)
        picture[1:-1, 1:-1][outline[1:-1, 1:-1]] = COLOURS[(int(number) - 1) % len(COLOURS)]
    file = io.BytesIO()
    Image.fromarray(picture).save(file, format="PNG")
    return file.getvalue()
