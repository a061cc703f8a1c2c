"""Sources of knee scans with masks, one file each.

To add a source:

1. Write a file here with a function `find(source)` that returns a `Source`: its cases, each with an image and a mask
   (`ImageFile`, `MaskFile`, `DicomSeries`, or classes of its own with the same methods), and what the numbers in the
   masks mean. `ski10.py` is the shortest example.
2. Add its name, dataset name and one line of help below.
3. Add its `find` to `FINDERS` in `dataset_conversion/convert.py`.
"""

DATASET_NAMES = {"oai-zib": "OAIZIB", "oaizib-cm": "OAIZIBCM", "ski10": "SKI10", "iwoai": "IWOAI", "nnunet": "LPS"}
"""Name of the dataset that each source becomes, unless another is given."""

HELP = {
    "oai-zib": "the ZIB archive's 507 masks with their OAI scans (DICOM, NIfTI or MetaImage)",
    "oaizib-cm": "OAIZIB-CM, the same knees repackaged: 404 train, 103 test",
    "ski10": "SKI10: image-001.mhd with labels-001.mhd",
    "iwoai": "IWOAI 2019: HDF5 .im with .seg",
    "nnunet": "a dataset in nnU-Net's raw layout: turned to LPS, checked, with a report",
}
