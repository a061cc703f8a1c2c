"""Knee data of other people in nnU-Net's raw layout: find the cases, check them, convert them, write the dataset.

The way of the data: a file named for its source (`oai_zib.py`, `oaizib_cm.py`, ...) finds the cases; `raw_dataset.py`
has each checked and then converted (`convert_case.py`) and finishes the dataset; `splits.py`, `report.py` and
`verify.py` add what goes with it. `scans.py` takes scans without masks, `masks_home.py` the predicted masks back to
them.

Arrays are (z, y, x) as in SimpleITK and nnU-Net; `_xyz` marks SimpleITK's own order. Positions are LPS, in mm.
"""
