"""SKI10: `image-001.mhd` with `labels-001.mhd`, both with a pose; an image without labels is a test case."""

from __future__ import annotations

import re
from pathlib import Path

from dataset_conversion.case import Source, paired
from dataset_conversion.image_files import ImageFile, MaskFile
from dataset_conversion.label_schemes import ZIB

LICENCE = "SKI10 challenge: see its terms."
REFERENCE = "Heimann T. et al. (2010), Segmentation of knee images: a grand challenge, MICCAI workshop. https://ski10.grand-challenge.org"


def find(source: Path) -> Source:
    """All cases below a folder."""
    images = {number: ImageFile(file) for number, file in _numbered(source, "image")}
    masks = {number: MaskFile(file, has_pose=True) for number, file in _numbered(source, "labels")}
    if not images:
        raise FileNotFoundError(f"--source must hold image-001.mhd and so on, got {source}. Unpack the archive there.")
    return Source("ski10", *paired("ski10", images, masks, "image-{}.mhd"), ZIB, LICENCE, REFERENCE)


def _numbered(source: Path, kind: str) -> list[tuple[str, Path]]:
    files = sorted(source.rglob(f"{kind}-*.mhd"))
    return [(match[1], file) for file in files if (match := re.fullmatch(rf"{kind}-(\d+)\.mhd", file.name))]
