"""Writes NIfTI files, whole or not at all. All NIfTI files of the conversion are written here.

SimpleITK truncates a NIfTI on a full disk without an error, hence this own writer. The gzip header bears no time, so
that the same image gives the same bytes; ISA-L packs as small as zlib in a quarter of the time.
"""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import SimpleITK as sitk
from isal import igzip

from nnunet_eas.support.files import write_bytes

_COMPRESSION = 2  # of 0 to 3
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])


def write_nifti(image: sitk.Image, path: Path, unfinished: Path | None = None) -> None:
    """Writes an image as `.nii.gz`; until it is whole, it lies in the folder `unfinished`, by default beside `path`."""
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
    write_bytes(path, igzip.compress(nifti.to_bytes(), _COMPRESSION, mtime=0), unfinished)
