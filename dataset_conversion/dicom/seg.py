"""Writes a mask as DICOM SEG, by highdicom (an extra)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid

from dataset_conversion.dicom.series import DicomSeries
from dataset_conversion.geometry import place, same_place
from nnunet_eas.support.files import replacing

try:
    import highdicom
    import highdicom.seg
except ImportError as error:
    raise ModuleNotFoundError('DICOM SEG needs highdicom. In the source folder: pip install ".[dicom-seg]".') from error

_CODES = {"femur": codes.SCT.Femur, "tibia": codes.SCT.Tibia}


def write_dicom_seg(
    mask: sitk.Image, series: DicomSeries, structures: Mapping[str, tuple[int, ...]], path: Path
) -> None:
    """Writes one segmentation object with a segment for each structure; patient and study are the series' own.

    The mask is on the oriented grid of its series. Structures that overlap, regions, share numbers.
    """
    frames = _frames(mask, series)
    segments = {name: np.isin(frames, numbers) for name, numbers in structures.items()}
    segments = {name: segment for name, segment in segments.items() if segment.any()}
    if not segments:
        raise ValueError("the mask must hold a structure, got none: DICOM SEG can't be empty. Look at the scan.")
    images = [pydicom.dcmread(series.slices[i].file) for i in series.stack.order]
    # the same mask of the same series gets the same UIDs, so that an archive recognises a repetition
    sources = [series.slices[0].series, hashlib.sha256(frames.tobytes()).hexdigest(), *segments]
    segmentation = highdicom.seg.Segmentation(
        source_images=images,
        pixel_array=np.stack(list(segments.values()), axis=-1).astype(np.uint8),
        segmentation_type=highdicom.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[_description(i, name) for i, name in enumerate(segments, start=1)],
        series_instance_uid=generate_uid(entropy_srcs=["series", *sources]),
        series_number=9000,
        series_description="nnU-Net segmentation",
        sop_instance_uid=generate_uid(entropy_srcs=["instance", *sources]),
        instance_number=1,
        manufacturer="nnunet-eas",
        manufacturer_model_name="nnU-Net with EAS U-Net",
        software_versions=version("nnunet-eas"),
        device_serial_number="none",
    )
    with replacing(path) as temporary:
        segmentation.save_as(temporary)


def _frames(mask: sitk.Image, series: DicomSeries) -> np.ndarray:
    """The mask on the series' own slices, (slice, row, column), in the order of their positions."""
    size_xyz, spacing_xyz, origin, direction = series.stored_grid()
    own = sitk.Image(list(size_xyz), sitk.sitkUInt8)
    place(own, spacing_xyz, origin, direction)
    letters = sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(own.GetDirection())
    turned = sitk.DICOMOrient(sitk.Cast(mask, sitk.sitkUInt8), letters)
    if not same_place(turned, own, tolerance_mm=0.05):
        raise ValueError("the mask must lie where its series lies, got another grid. Predict the converted scan again.")
    return sitk.GetArrayFromImage(turned)


def _description(number: int, structure: str) -> highdicom.seg.SegmentDescription:
    is_cartilage = structure.endswith("cartilage") and "_with_" not in structure
    kind = codes.SCT.Cartilage if is_cartilage else _CODES.get(structure, codes.SCT.AnatomicalStructure)
    return highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=structure.replace("_", " "),
        segmented_property_category=codes.SCT.Tissue if is_cartilage else codes.SCT.AnatomicalStructure,
        segmented_property_type=kind,
        algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=highdicom.AlgorithmIdentificationSequence(
            name="nnU-Net", family=codes.DCM.ArtificialIntelligence, version="2"
        ),
    )
