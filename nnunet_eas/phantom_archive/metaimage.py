"""Writes masks as OAI-ZIB stores them: MetaImage, a header and uncompressed bytes, without a pose."""

from __future__ import annotations

from pathlib import Path

import numpy as np

_HEADER = """\
ObjectType = Image
NDims = 3
BinaryData = True
BinaryDataByteOrderMSB = False
CompressedData = False
TransformMatrix = 1 0 0 0 1 0 0 0 1
Offset = 0 0 0
CenterOfRotation = 0 0 0
AnatomicalOrientation = RAI
ElementSpacing = {spacing}
DimSize = {size}
ElementType = MET_UCHAR
ElementDataFile = {data}
"""


def write_mask(path: Path, labels: np.ndarray, spacing: tuple[float, float, float]) -> None:
    """Writes header and data. As in the real archive, the header does not tell the knee's place.

    Args:
        path: The header, ending in ``.mhd``; the data get its name with ``.raw``.
        labels: (z, y, x), uint8.
        spacing: mm, (z, y, x); rounded to six digits, as by ITK, so that it differs a little from the scan's.
    """
    data = path.with_suffix(".raw")
    data.write_bytes(np.ascontiguousarray(labels, dtype=np.uint8).tobytes())
    size = " ".join(str(edge) for edge in labels.shape[::-1])
    header = _HEADER.format(spacing=" ".join(f"{s:g}" for s in spacing[::-1]), size=size, data=data.name)
    path.write_bytes(header.encode())
