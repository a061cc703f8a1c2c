"""Writing NIfTI: whole or not at all.

SimpleITK writes a cut NIfTI on a full disk and says nothing, hence our own writing. The gzip bears no time, so that the
same image gives the same bytes, and comes from ISA-L: as small as zlib's in a quarter of the time.
"""

from __future__ import annotations

import os
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK as sitk
from isal import igzip

_LEVEL = 2  # of 0 to 3
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])


def write_nifti(image: sitk.Image, path: Path, temporary: Path) -> None:
    """Writes `image` as `path` (.nii.gz), in one step as others see it.

    Args:
        image: 3-D, or 2-D, whose pose is then only its spacing.
        path: Replaced if it is there.
        temporary: Folder on the same disk for the unfinished file.
    """
    dimension = image.GetDimension()
    affine = np.eye(4)
    matrix = np.asarray(image.GetDirection()).reshape(dimension, dimension) * np.asarray(image.GetSpacing())
    turn = _LPS_TO_RAS[:dimension, :dimension]
    affine[:dimension, :dimension] = turn @ matrix
    affine[:dimension, 3] = turn @ np.asarray(image.GetOrigin())

    array = sitk.GetArrayViewFromImage(image).T
    nifti = nibabel.Nifti1Image(array, affine, dtype=array.dtype)
    nifti.header.set_xyzt_units("mm")
    nifti.set_sform(affine, code=1)
    nifti.set_qform(affine, code=1)
    unfinished = temporary / path.name
    try:
        unfinished.write_bytes(igzip.compress(nifti.to_bytes(), _LEVEL, mtime=0))
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    os.replace(unfinished, path)
