"""Checks one case, and writes it into the dataset. Runs in a worker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import SimpleITK as sitk

from dataset_conversion.case import Case
from dataset_conversion.faults import FAULT_TYPES, in_words
from dataset_conversion.geometry import obliquity_deg
from dataset_conversion.label_schemes import CARTILAGES, count
from dataset_conversion.writing.anomalies import anomalies
from dataset_conversion.writing.nifti import write_nifti
from dataset_conversion.writing.output_folder import CONVERSION, sha256
from dataset_conversion.writing.tiles import tile
from nnunet_eas.support.files import write_bytes, write_json

RECORDS = CONVERSION / "cases"
TILES = CONVERSION / "tiles"

Crop = Literal["none", "range", "slices"]
"""Sagittal slices without wanted structures: "none" keeps them, "range" leaves out those before the first and behind
the last slice with a structure, "slices" writes every slice with a structure as a 2-D case of its own."""


@dataclass(frozen=True)
class Job:
    """A case and how to convert it."""

    case: Case
    folder: Path  # of the dataset
    structures: Mapping[int, str]  # meaning of the numbers in the source's masks
    table: np.ndarray  # the dataset's number for each number of the source
    crop: Crop = "none"

    @property
    def name(self) -> str:
        return self.case.identifier

    @property
    def record(self) -> Path:
        return self.folder / RECORDS / f"{self.name}.json"

    @property
    def tile(self) -> Path:
        """Picture of the case for the report."""
        return self.folder / TILES / f"{self.name}.png"


def check_case(job: Job) -> tuple[list[str], Job]:
    """The faults of a case's headers and mask, and the same job, which now holds the headers that were read."""
    case = job.case
    try:
        found = list(case.image.faults())
        side = getattr(case.image, "side", None)
        if not found and case.promised_side and side and side != case.promised_side:
            found.append(
                f"it is a {side} knee by its header, where the source promises {case.promised_side} ones. Take the "
                "other knee's series."
            )
        if case.mask is not None:
            mask_faults = list(case.mask.faults())
            if not found and not mask_faults:
                mask_faults = _label_faults(case.mask.read_on(case.image.grid()), job.structures)
            found += mask_faults
    except FAULT_TYPES as error:
        found = [in_words(error)]
    return found, job


def convert_case(job: Job) -> list[str]:
    """Writes a case, and then its record; or returns the faults that `check_case` did not see."""
    case = job.case
    try:
        fingerprint = case.fingerprint()
        image = case.image.read()
        mask = case.mask.read_on(image) if case.mask else None
        if mask is not None and (found := _label_faults(mask, job.structures)):
            return found
    except FAULT_TYPES as error:
        return [in_words(error)]

    record: dict[str, Any] = {
        "patient": case.patient,
        "source": fingerprint,
        "outputs": {},
        "shape": list(image.GetSize()[::-1]),
        "spacing": [round(s, 6) for s in image.GetSpacing()[::-1]],
        "obliquity_deg": round(obliquity_deg(image), 2),
    }
    for folder in (job.record.parent, job.tile.parent):
        folder.mkdir(parents=True, exist_ok=True)
    if mask is not None:
        labels, pixels = sitk.GetArrayFromImage(mask), sitk.GetArrayViewFromImage(image)
        spacing, counts = image.GetSpacing()[::-1], count(labels)
        record["voxels"] = {name: int(counts[number]) for number, name in job.structures.items()}
        record["anomalies"] = anomalies(pixels, labels, job.structures, spacing, counts)
        wanted = [n for n, name in job.structures.items() if name in CARTILAGES] or list(job.structures)
        write_bytes(job.tile, tile(pixels, labels, spacing, wanted))

    for file, content in files_to_write(job, image, mask).items():
        path = job.folder / file
        path.parent.mkdir(exist_ok=True)
        write_nifti(content, path, unfinished=job.folder / CONVERSION)
        record["outputs"][file] = {"bytes": path.stat().st_size, "sha256": sha256(path)}
    write_json(job.record, record)
    return []


def files_to_write(job: Job, image: sitk.Image, mask: sitk.Image | None) -> dict[str, sitk.Image]:
    """The images that a case consists of in the dataset, by file name relative to the dataset's folder."""
    side = "Ts" if job.case.is_test else "Tr"
    if mask is None:
        return {f"images{side}/{job.name}_0000.nii.gz": image}
    target = sitk.GetImageFromArray(job.table[sitk.GetArrayViewFromImage(mask)])
    target.CopyInformation(image)
    files = {}
    for suffix, (part, part_mask) in _cropped(image, target, job.crop).items():
        files[f"images{side}/{job.name}{suffix}_0000.nii.gz"] = part
        files[f"labels{side}/{job.name}{suffix}.nii.gz"] = part_mask
    return files


def _label_faults(mask: sitk.Image, structures: Mapping[int, str]) -> list[str]:
    labels = sitk.GetArrayViewFromImage(mask)
    if labels.max() <= len(structures) == max(structures):
        return []  # the usual case, without counting
    if unknown := sorted(set(np.flatnonzero(count(labels)).tolist()) - {0, *structures}):
        known = ", ".join(f"{n} {name}" for n, name in structures.items())
        return [
            f"its labels must be 0 or one of ({known}), got {', '.join(map(str, unknown))}. These are another "
            "source's, e.g. the classification folder's."
        ]
    return []


def _cropped(image: sitk.Image, mask: sitk.Image, crop: Crop) -> dict[str, tuple[sitk.Image, sitk.Image]]:
    """Image and mask of each volume to write, by the suffix of its name. Sagittal slices lie along x."""
    if crop == "none":
        return {"": (image, mask)}
    used = np.flatnonzero(sitk.GetArrayViewFromImage(mask).any(axis=(0, 1)))
    if crop == "slices":
        return {f"_x{x:03d}": (_plane(image, int(x)), _plane(mask, int(x))) for x in used}
    part = slice(int(used[0]), int(used[-1]) + 1) if len(used) else None
    return {"": (image[part], mask[part])} if part else {}


def _plane(volume: sitk.Image, x: int) -> sitk.Image:
    """One sagittal slice as a 2-D image, which can hold the spacing but no place in space."""
    plane = sitk.GetImageFromArray(sitk.GetArrayViewFromImage(volume)[:, :, x])
    plane.SetSpacing(volume.GetSpacing()[1:])
    return plane
