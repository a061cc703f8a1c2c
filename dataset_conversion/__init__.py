"""Conversion of knee data into nnU-Net's raw layout: find the cases, check them, convert them, write the dataset.

- `convert.py` holds the Python functions; the command `nnunet-eas convert` calls them.
- `sources/` has one file for each source of scans with masks. Its `__init__.py` tells how to add one.
- `dicom/` reads DICOM series, converts new scans for prediction, and returns predicted masks to their series.
- `writing/` writes and checks the dataset. Every NIfTI file is written by `writing/nifti.py`.
- `case.py`, `geometry.py`, `image_files.py` and `label_schemes.py` are what these rooms share.

Arrays are (z, y, x) as in SimpleITK and nnU-Net; `_xyz` marks SimpleITK's own order. Positions are LPS, in mm.
"""
