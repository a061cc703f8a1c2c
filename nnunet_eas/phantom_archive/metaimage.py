"""OAI-ZIB's masks: MetaImage, a header and uncompressed bytes, without a pose."""

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
    """Writes header and data. The header says nothing of where the knee lay: the real ones do not either.

    Args:
        path: The header's, ending in ``.mhd``; the data get its name with ``.raw``.
        labels: (z, y, x), uint8.
        spacing: mm, (z, y, x); written with six digits, as ITK does, so that it is not quite the scan's.
    """
    data = path.with_suffix(".raw")
    data.write_bytes(np.ascontiguousarray(labels, dtype=np.uint8).tobytes())
    size = " ".join(str(edge) for edge in labels.shape[::-1])
    header = _HEADER.format(spacing=" ".join(f"{s:g}" for s in spacing[::-1]), size=size, data=data.name)
    path.write_bytes(header.encode())
