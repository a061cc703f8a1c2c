"""A mask as DICOM SEG beside its series, by highdicom (an extra)."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid

from dataset_conversion.dicom_series import DicomSeries
from dataset_conversion.geometry import place, same_place

_WORDS = {"femur": codes.SCT.Femur, "tibia": codes.SCT.Tibia}


def write_dicom_seg(
    mask: sitk.Image, series: DicomSeries, structures: Mapping[str, tuple[int, ...]], path: Path
) -> None:
    """Writes one segmentation object: a segment for each structure, patient and study taken from the series itself.

    Args:
        mask: On the oriented grid of `series`.
        series: What was segmented.
        structures: The numbers that each consists of; those of overlapping regions are shared.
        path: The file; it appears when it is complete.

    Raises:
        ValueError: highdicom is not installed, the mask lies elsewhere, or it is empty.
    """
    highdicom = _highdicom()
    frames = _frames(mask, series)
    segments = {name: np.isin(frames, numbers) for name, numbers in structures.items()}
    segments = {name: segment for name, segment in segments.items() if segment.any()}
    if not segments:
        raise ValueError("the mask must hold a structure, got none: DICOM SEG can't be empty. Look at the scan.")
    images = [pydicom.dcmread(series.slices[i].file) for i in series.stack.order]
    # the same mask of the same series is the same object, so that an archive can tell a repetition
    sources = [series.slices[0].series, hashlib.sha256(frames.tobytes()).hexdigest(), *segments]
    segmentation = highdicom.seg.Segmentation(
        source_images=images,
        pixel_array=np.stack(list(segments.values()), axis=-1).astype(np.uint8),
        segmentation_type=highdicom.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[_description(highdicom, i, name) for i, name in enumerate(segments, start=1)],
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
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        segmentation.save_as(unfinished)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    os.replace(unfinished, path)


def _frames(mask: sitk.Image, series: DicomSeries) -> np.ndarray:
    """The mask as the series' own slices, (slice, row, column), in the order of their positions."""
    stack, first = series.stack, series.slices[0]
    assert first.spacing is not None
    own = sitk.Image([first.shape[1], first.shape[0], len(series.slices)], sitk.sitkUInt8)
    place(own, (first.spacing[1], first.spacing[0], stack.spacing), stack.origin, stack.direction)
    letters = sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(own.GetDirection())
    turned = sitk.DICOMOrient(sitk.Cast(mask, sitk.sitkUInt8), letters)
    if not same_place(turned, own, tolerance_mm=0.05):
        raise ValueError("the mask must lie where its series lies, got another grid. Predict the converted scan again.")
    return sitk.GetArrayFromImage(turned)


def _description(highdicom: Any, number: int, structure: str) -> Any:
    is_cartilage = structure.endswith("cartilage") and "_with_" not in structure
    kind = codes.SCT.Cartilage if is_cartilage else _WORDS.get(structure, codes.SCT.AnatomicalStructure)
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


def _highdicom() -> Any:
    try:
        import highdicom
        import highdicom.seg
    except ImportError as error:
        raise ValueError('DICOM SEG needs highdicom. pip install "nnunet-eas[dicom-seg]".') from error
    return highdicom
