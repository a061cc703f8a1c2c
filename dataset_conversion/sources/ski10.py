"""SKI10: `image-001.mhd` with `labels-001.mhd`, both with a pose."""

from __future__ import annotations

import re
from pathlib import Path

from dataset_conversion.case import Case, Source
from dataset_conversion.image_files import ImageFile, MaskFile
from dataset_conversion.label_schemes import ZIB

LICENCE = "SKI10 challenge: see its terms."
REFERENCE = "Heimann T. et al. (2010), Segmentation of knee images: a grand challenge, MICCAI workshop. https://ski10.grand-challenge.org"


def find(source: Path) -> Source:
    """All cases below a folder; an image without labels is a test case.

    Raises:
        FileNotFoundError: The folder holds no images.
    """
    images = {m[1]: f for f in sorted(source.rglob("image-*.mhd")) if (m := re.fullmatch(r"image-(\d+)\.mhd", f.name))}
    masks = {m[1]: f for f in sorted(source.rglob("labels-*.mhd")) if (m := re.fullmatch(r"labels-(\d+)\.mhd", f.name))}
    if not images:
        raise FileNotFoundError(f"--source must hold image-001.mhd and so on, got {source}. Unpack the archive there.")
    faults = {
        f"ski10_{number}": [f"its image image-{number}.mhd is missing. Unpack it as well."]
        for number in sorted(set(masks) - set(images))
    }
    cases = [
        Case(
            f"ski10_{number}",
            f"ski10_{number}",
            ImageFile(file),
            MaskFile(masks[number], has_pose=True) if number in masks else None,
            is_test=number not in masks,
        )
        for number, file in images.items()
    ]
    return Source("ski10", tuple(cases), faults, ZIB, LICENCE, REFERENCE)
