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
    """Writes a header, `path`, and the data beside it. As in the real archive, it does not tell the knee's place.

    The header has six digits of the spacing, as by ITK, so that it differs a little from the scan's.
    """
    data = path.with_suffix(".raw")
    data.write_bytes(np.ascontiguousarray(labels, dtype=np.uint8).tobytes())
    size = " ".join(str(edge) for edge in labels.shape[::-1])
    header = _HEADER.format(spacing=" ".join(f"{s:g}" for s in spacing[::-1]), size=size, data=data.name)
    path.write_bytes(header.encode())
