"""Returns predicted masks to the series that `scans.py` converted: mirrored back, as NIfTI or as DICOM SEG."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from dataset_conversion.dicom.scans import Scan, mirrored
from dataset_conversion.faults import FAULT_TYPES, Faults, ForAll, errors_are_faults, find_faults, in_words, refuse
from dataset_conversion.geometry import same_place
from dataset_conversion.image_files import ImageFile, file_faults, without_text
from dataset_conversion.writing.nifti import write_nifti
from nnunet_eas.support.files import read_json

CANNOT = "can't be returned to their series"


@dataclass(frozen=True)
class _Mask:
    name: str
    file: Path
    row: Mapping[str, str]  # of the table
    image: Path  # that was predicted
    scan: Scan | None  # where DICOM SEG is wanted
    structures: Mapping[str, tuple[int, ...]] | None
    output: Path


def return_masks(
    masks: Path,
    table: Mapping[str, Mapping[str, str]],
    converted: Path,
    output: Path,
    scans: list[Scan] | None,
    for_all: ForAll,
    *,
    skip_faulty: bool,
) -> tuple[list[str], Faults]:
    """Writes `NAME.nii.gz`, or `NAME.dcm` where `scans` are given, for every mask.

    The options are those of `convert_masks`; `table` comes from `read_table` and lies in the folder `converted`.

    Returns:
        The names of the written masks, and the faults of the others.
    """
    if output.resolve() == masks.resolve() or output.is_file():  # the next run would mirror what was mirrored back
        raise ValueError(f"-o must be another folder than -i, got {output}. Choose a new one.")
    files = sorted(masks.glob("*.nii.gz"))
    if not files:
        raise FileNotFoundError(f"-i must hold masks NAME.nii.gz, got none in {masks}. Give nnUNetv2_predict's output.")
    structures = _structures(masks) if scans is not None or (masks / "dataset.json").is_file() else None
    by_uid = {scan.series.slices[0].series: scan for scan in scans or []}
    jobs: list[_Mask] = []
    faults: Faults = {}
    for file in files:
        name = file.name.removesuffix(".nii.gz")
        row = table.get(name)
        scan = by_uid.get(row["series_instance_uid"]) if row else None
        if row is None:
            faults[name] = ["its name is not in the table. Give the series.csv that was written with its scan."]
        elif scans is not None and scan is None:
            faults[name] = ["its series is not there. Give the folder tree that its scan was converted from."]
        else:
            jobs.append(_Mask(name, file, row, converted / f"{name}_0000.nii.gz", scan, structures, output))
    faults |= find_faults(for_all, _check, jobs, "checking")
    refuse(faults, len(files), skip_faulty, what=CANNOT)
    output.mkdir(parents=True, exist_ok=True)
    faults |= find_faults(for_all, _write, [job for job in jobs if job.name not in faults], "masks")
    return sorted(job.name for job in jobs if job.name not in faults), faults


def _structures(masks: Path) -> dict[str, tuple[int, ...]]:
    """The numbers of each structure in a mask; a region has several, and shares them with other regions."""
    file = masks / "dataset.json"
    try:
        labels = read_json(file, "the model's dataset.json in -i")["labels"]
        numbers = {name: tuple(value) if isinstance(value, list) else (int(value),) for name, value in labels.items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        rule = f"{file} must hold the model's labels"
        raise ValueError(f"{rule}, got something else. Predict the scans again.") from error
    return {name: values for name, values in numbers.items() if values != (0,) and name != "ignore"}


@errors_are_faults
def _check(job: _Mask) -> list[str]:
    if found := file_faults(job.file):
        return found
    mask = sitk.ReadImage(str(job.file))
    shape = "x".join(map(str, mask.GetSize()[::-1]))
    if shape != job.row["shape_zyx"]:
        return [f"it must have its scan's shape {job.row['shape_zyx']} (z, y, x), got {shape}. Predict it again."]
    if job.image.is_file() and not same_place(mask, ImageFile(job.image).grid(), tolerance_mm=0.05):
        return ["it must lie where its scan lies, got another grid. Predict it again."]
    known = set(range(256)) if job.structures is None else {0}.union(*job.structures.values())
    if unknown := sorted(set(np.unique(sitk.GetArrayViewFromImage(mask)).tolist()) - known):
        shown = ", ".join(map(str, unknown[:5]))
        return [f"it must hold labels of the model's dataset.json, got {shown}. It is no mask of this model."]
    return []


def _write(job: _Mask) -> list[str]:
    try:
        mask = sitk.Cast(without_text(sitk.ReadImage(str(job.file))), sitk.sitkUInt8)
        if job.row["mirrored"] == "yes":
            mask = mirrored(mask)
        if job.scan is not None:
            from dataset_conversion.dicom.seg import write_dicom_seg

            assert job.structures is not None
            write_dicom_seg(mask, job.scan.series, job.structures, job.output / f"{job.name}.dcm")
            return []
    except FAULT_TYPES as error:
        return [in_words(error)]
    write_nifti(mask, job.output / job.file.name)
    return []
