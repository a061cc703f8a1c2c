"""One case from its source into the dataset's folder. Runs in a worker."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import SimpleITK as sitk

from dataset_conversion.anomalies import anomalies
from dataset_conversion.case import Case
from dataset_conversion.faults import FAULT_TYPES, in_words
from dataset_conversion.geometry import obliquity_deg
from dataset_conversion.label_schemes import CARTILAGES, count, unknown_labels
from dataset_conversion.nifti import write_nifti
from dataset_conversion.tiles import tile

RECORDS = Path("conversion", "cases")
TILES = Path("conversion", "tiles")
UNFINISHED = Path("conversion", "unfinished")

Cut = Literal["none", "range", "slices"]


@dataclass(frozen=True)
class Job:
    """A case and what to make of it.

    Attributes:
        case: With image and mask.
        folder: The dataset's.
        structures: What the numbers in the source's masks mean.
        table: The dataset's number for each number of the source.
        cut: What to do with sagittal slices without wanted structures: "none" keeps them, "range" leaves out those
            before the first and behind the last that has some, "slices" writes every slice that has some as a case of
            its own, 2-D.
    """

    case: Case
    folder: Path
    structures: Mapping[int, str]
    table: np.ndarray
    cut: Cut = "none"


def check(job: Job) -> tuple[list[str], Job]:
    """Looks at headers and the mask, writes nothing.

    Returns:
        What keeps the case from being converted, in words, and the same job, which has now read its headers.
    """
    return _check(job.case, job.structures), job


def _check(case: Case, structures: Mapping[int, str]) -> list[str]:
    try:
        found = list(case.image.faults())
        side = getattr(case.image, "side", None)
        if not found and case.promised_side and side and side != case.promised_side:
            found.append(
                f"it is a {side} knee by its header, where the source promises {case.promised_side} ones. Take the "
                "other knee's series."
            )
        if case.mask is None:
            return found
        mask_faults = list(case.mask.faults())
        if not found and not mask_faults:
            mask_faults = _label_faults(case.mask.read_on(case.image.grid()), structures)
        return found + mask_faults
    except FAULT_TYPES as error:
        return [in_words(error)]


def convert(job: Job) -> list[str]:
    """Writes a case, and a record of it when all its files are there.

    Returns:
        What kept it from being converted, although `check` passed; empty when it is done.

    Raises:
        OSError: Writing failed.
    """
    case = job.case
    try:
        fingerprint = case.fingerprint()
        image = case.image.read()
        mask = case.mask.read_on(image) if case.mask else None
        if mask is not None and (found := _label_faults(mask, job.structures)):
            return found
    except FAULT_TYPES as error:
        return [in_words(error)]

    for folder in (RECORDS, TILES, UNFINISHED):
        (job.folder / folder).mkdir(parents=True, exist_ok=True)
    facts = _facts(image)
    if mask is not None:
        labels = sitk.GetArrayFromImage(mask)
        pixels = sitk.GetArrayViewFromImage(image)
        spacing = image.GetSpacing()[::-1]
        counts = count(labels)
        facts["voxels"] = {name: int(counts[number]) for number, name in job.structures.items()}
        facts["anomalies"] = anomalies(pixels, labels, job.structures, spacing, counts)
        wanted = [n for n, name in job.structures.items() if name in CARTILAGES] or list(job.structures)
        write_bytes(tile(pixels, labels, spacing, wanted), job.folder / TILES / f"{case.identifier}.png", job.folder)

    outputs: dict[str, dict[str, Any]] = {}
    for file, content in files_to_write(job, image, mask).items():
        path = job.folder / file
        path.parent.mkdir(exist_ok=True)
        write_nifti(content, path, job.folder / UNFINISHED)
        outputs[file] = {"bytes": path.stat().st_size, "sha256": sha256(path)}
    record = {"patient": case.patient, "source": fingerprint, "outputs": outputs, **facts}
    write_json(record, job.folder / RECORDS / f"{case.identifier}.json", job.folder)
    return []


def files_to_write(job: Job, image: sitk.Image, mask: sitk.Image | None) -> dict[str, sitk.Image]:
    """What a case consists of in the dataset, by file name relative to its folder."""
    side = "Ts" if job.case.is_test else "Tr"
    if mask is None:
        return {f"images{side}/{job.case.identifier}_0000.nii.gz": image}
    target = sitk.GetImageFromArray(job.table[sitk.GetArrayViewFromImage(mask)])
    target.CopyInformation(image)
    files = {}
    for suffix, (part, part_mask) in _volumes_to_write(image, target, job.cut).items():
        files[f"images{side}/{job.case.identifier}{suffix}_0000.nii.gz"] = part
        files[f"labels{side}/{job.case.identifier}{suffix}.nii.gz"] = part_mask
    return files


def sha256(path: Path) -> str:
    """Of a file's content."""
    with path.open("rb") as f:
        digest = hashlib.sha256()
        while block := f.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def write_json(content: Any, path: Path, folder: Path) -> None:
    """As `write_bytes`."""
    write_bytes((json.dumps(content, indent=2) + "\n").encode(), path, folder)


def write_bytes(content: bytes, path: Path, folder: Path) -> None:
    """Writes a file in one step as others see it; unfinished, it lies elsewhere in the dataset's `folder`."""
    unfinished = folder / UNFINISHED / path.name
    unfinished.parent.mkdir(parents=True, exist_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        unfinished.write_bytes(content)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    os.replace(unfinished, path)


def _label_faults(mask: sitk.Image, structures: Mapping[int, str]) -> list[str]:
    labels = sitk.GetArrayViewFromImage(mask)
    if labels.max() <= len(structures) == max(structures):
        return []  # the usual case, without counting
    if unknown := unknown_labels(np.flatnonzero(count(labels)), structures):
        known = ", ".join(f"{n} {name}" for n, name in structures.items())
        return [
            f"its labels must be 0 or one of ({known}), got {', '.join(map(str, unknown))}. These are "
            f"another source's, "
            "e.g. the classification folder's."
        ]
    return []


def _facts(image: sitk.Image) -> dict[str, Any]:
    return {
        "shape": list(image.GetSize()[::-1]),
        "spacing": [round(s, 6) for s in image.GetSpacing()[::-1]],
        "obliquity_deg": round(obliquity_deg(image), 2),
    }


def _volumes_to_write(image: sitk.Image, mask: sitk.Image, cut: Cut) -> dict[str, tuple[sitk.Image, sitk.Image]]:
    """What to write, by the suffix of its name. Sagittal slices lie along x."""
    if cut == "none":
        return {"": (image, mask)}
    used = np.flatnonzero(sitk.GetArrayViewFromImage(mask).any(axis=(0, 1)))
    if cut == "range":
        if not len(used):
            return {}
        part = slice(int(used[0]), int(used[-1]) + 1)
        return {"": (image[part], mask[part])}
    return {f"_x{x:03d}": (_plane(image, int(x)), _plane(mask, int(x))) for x in used}


def _plane(volume: sitk.Image, x: int) -> sitk.Image:
    """One sagittal slice; a 2-D image can't say where in space it lies, so only its spacing is kept."""
    plane = sitk.GetImageFromArray(sitk.GetArrayViewFromImage(volume)[:, :, x])
    plane.SetSpacing(volume.GetSpacing()[1:])
    return plane
