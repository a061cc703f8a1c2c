"""A scan as one file, NIfTI or MetaImage: in another order of the axes than the masks, with its oblique direction."""

from __future__ import annotations

from pathlib import Path

import SimpleITK as sitk

from nnunet_eas.phantom_archive import ArchiveCase
from phantom_defects.series_forms import Flips

_OPPOSITE = {"L": "R", "R": "L", "P": "A", "A": "P", "S": "I", "I": "S"}


def write_volume(path: Path, case: ArchiveCase, *, flips: Flips) -> None:
    """Writes one file. Without flips, NIfTI is in the order RAS and MetaImage in the order of sagittal slices, PIL.

    Args:
        path: Ends in ``.nii.gz`` or ``.mha``.
        case: What to write.
        flips: Whether the axes along the usual columns (front to back), rows and slices are reversed.
    """
    code = _code(flips, column="A", row="S", slice_="R", order="xyz")
    if path.suffix == ".mha":
        code = _code(flips, column="P", row="I", slice_="L", order="yzx")
    image = sitk.GetImageFromArray(case.knee.image)
    image.SetSpacing(case.knee.spacing[::-1])
    image.SetDirection((case.affine[:3, :3] / case.knee.spacing[::-1]).ravel())
    image.SetOrigin(case.affine[:3, 3])
    sitk.WriteImage(sitk.DICOMOrient(image, code), str(path))


def _code(flips: Flips, *, column: str, row: str, slice_: str, order: str) -> str:
    """The three letters that say where the axes run to, in the order in which the file holds them."""
    usual = zip((column, row, slice_), flips, strict=True)
    y, z, x = (_OPPOSITE[letter] if flipped else letter for letter, flipped in usual)
    return "".join({"x": x, "y": y, "z": z}[axis] for axis in order)
