"""The ways in which a case of an archive can be wrong, or merely unusual."""

from __future__ import annotations

from enum import Enum


class Defect(Enum):
    """What is done to the files of one case after they were written well.

    Several defects of a case are applied in the order of this list, whatever the order they are asked in: those that
    need readable files come before those that spoil them.
    """

    EMPTY_STRUCTURE = "empty_structure"
    """The mask holds no tibial cartilage."""

    ISOLATED_CLUSTER = "isolated_cluster"
    """The mask holds a small block of femoral cartilage in the corner of the grid that is farthest from the joint."""

    FOREIGN_LABELS = "foreign_labels"
    """A block amid the mask bears 7, a number outside the scheme."""

    SHIFTED_MASK = "shifted_mask"
    """The mask's labels lie 6 mm too far up (towards positive z); the header is as it was."""

    SIZE_DIFFERS = "size_differs"
    """The mask lacks its last sagittal slice; its header and its data agree."""

    HEADER_SIZE = "header_size"
    """The mask's header announces one more slice along z than the data hold."""

    TRUNCATED_RAW = "truncated_raw"
    """The second half of the mask's data is gone."""

    MISSING_MASK = "missing_mask"
    """The mask, header and data, is not there."""

    DUPLICATE_ID = "duplicate_id"
    """``oai_mri_paths.txt`` names the case twice: the second line has another barcode, of which there is no folder."""

    INVERTED_CONTRAST = "inverted_contrast"
    """The scan's intensities are inverted: what was brightest is darkest."""

    LEFT_KNEE = "left_knee"
    """SeriesDescription says LEFT, of a knee that is a right one. DICOM only."""

    SLICE_THICKNESS = "slice_thickness"
    """SliceThickness is 5 / 6.5 of the distance between slices: there are gaps; the positions are right. DICOM only."""

    UNEVEN_SLICES = "uneven_slices"
    """One inner slice lies three tenths of a slice distance off its place. DICOM only."""

    MIXED_ORIENTATION = "mixed_orientation"
    """One inner slice is tilted by 5 degrees against the others. DICOM only."""

    MISSING_SLICE = "missing_slice"
    """One inner slice is not there. DICOM only."""

    EVERY_OTHER_SLICE = "every_other_slice"
    """Every second slice is not there: an even gap, and the thickness is no longer the distance. DICOM only."""

    DUPLICATE_SLICE = "duplicate_slice"
    """One inner slice is there twice, at one position and with two instance UIDs. DICOM only."""

    TWO_ECHOES = "two_echoes"
    """A second echo of each slice, half as bright, bears the same SeriesInstanceUID. DICOM only."""

    TWO_ACQUISITIONS = "two_acquisitions"
    """A second acquisition of each slice, a little darker, bears the same SeriesInstanceUID. DICOM only."""

    SEVERAL_SERIES = "several_series"
    """The folder holds a second series on the same grid: a T2 map. DICOM only."""

    COMPRESSED = "compressed"
    """The slices are compressed (RLE lossless). Harmless. DICOM only."""

    NO_CODEC = "no_codec"
    """The slices say that they are High-Throughput JPEG 2000; what they hold is no such stream. DICOM only."""

    NO_POSITION = "no_position"
    """No slice has an ImagePositionPatient. DICOM only."""

    TRUNCATED_SLICE = "truncated_slice"
    """One file ends amid its pixels. DICOM only."""

    UNREADABLE_SLICE = "unreadable_slice"
    """One file holds noise instead of DICOM. DICOM only."""

    FOREIGN_FILES = "foreign_files"
    """.DS_Store, Thumbs.db and a DICOMDIR lie beside the scan. Harmless."""

    MISSING_MRI = "missing_mri"
    """The scan is not there."""
