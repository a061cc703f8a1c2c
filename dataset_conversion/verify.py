"""Reading again what was written, and comparing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from dataset_conversion.convert_case import Job, files_to_write, sha256
from dataset_conversion.faults import FAULT_TYPES, FaultyCases, in_words
from dataset_conversion.geometry import same_place
from dataset_conversion.image_files import file_faults
from dataset_conversion.raw_dataset import read_records
from nnunet_eas.support.parallel import for_all


@dataclass(frozen=True)
class _Written:
    """The files of one case, and the hashes that the conversion recorded, where it did."""

    name: str
    images: tuple[Path, ...]
    mask: Path | None
    hashes: Mapping[Path, str]
    allowed: frozenset[int]


def verify_against_source(jobs: list[Job] | tuple[Job, ...], *, workers: int) -> None:
    """Compares every converted case with its source: each voxel, and the places of the corners.

    Raises:
        FaultyCases: Some differ.
    """
    faults = {}
    for job, found in for_all(_differences_to_source, list(jobs), workers=workers, description="comparing"):
        if found:
            faults[job.case.identifier] = found
    if faults:
        remedy = "Remove what differs and convert it again."
        raise FaultyCases(faults, len(jobs), what="differ from their source", remedy=remedy)


def verify_dataset(folder: Path, *, workers: int) -> int:
    """Checks a dataset in nnU-Net's raw layout by itself, whoever wrote it.

    Every image is readable and complete, has its mask on the same grid, masks hold dataset.json's labels only, and what
    a conversion of ours recorded is unchanged.

    Returns:
        How many cases were looked at.

    Raises:
        ValueError: It is no dataset.
        FaultyCases: Some cases are wrong.
    """
    try:
        dataset = json.loads((folder / "dataset.json").read_text())
        ending, channels, labels = dataset["file_ending"], len(dataset["channel_names"]), dataset["labels"]
    except (OSError, json.JSONDecodeError, KeyError) as error:
        raise ValueError(
            f"{folder} must be a dataset in nnU-Net's raw layout, got no usable dataset.json. Convert it first."
        ) from error
    allowed = frozenset(int(n) for value in labels.values() for n in (value if isinstance(value, list) else [value]))
    hashes = {
        folder / output: written["sha256"]
        for record in read_records(folder).values()
        for output, written in record["outputs"].items()
    }
    faults: dict[str, list[str]] = {}
    cases: list[_Written] = []
    for side in ("Tr", "Ts"):
        names = {f.name[: -len(ending)] for f in (folder / f"labels{side}").glob(f"*{ending}")}
        found = {f.name[: -len(ending) - 5] for f in (folder / f"images{side}").glob(f"*_????{ending}")}
        for name in sorted(names | found):
            images = tuple(folder / f"images{side}" / f"{name}_{c:04d}{ending}" for c in range(channels))
            mask = folder / f"labels{side}" / f"{name}{ending}"
            missing = [f.name for f in (*images, mask) if not f.is_file() and (side == "Tr" or f != mask)]
            if missing:
                faults[name] = [f"{', '.join(missing)} is missing. Convert it again."]
                continue
            own = {f: hashes[f] for f in (*images, mask) if f in hashes}
            cases.append(_Written(name, images, mask if mask.is_file() else None, own, allowed))
    if not cases and not faults:
        raise ValueError(f"{folder} must hold cases, got none. Convert it again.")
    for case, wrong in for_all(_faults, cases, workers=workers, description="verifying"):
        if wrong:
            faults[case.name] = wrong
    expected = int(dataset.get("numTraining", -1))
    training = len({f.name for f in (folder / "labelsTr").glob(f"*{ending}")})
    if gone := sorted(path.name for path in hashes if not path.is_file()):
        faults.setdefault("dataset", []).append(f"{', '.join(gone)} was converted and is gone. Convert it again.")
    if expected != training:
        faults.setdefault("dataset", []).append(f"numTraining is {expected}, but labelsTr holds {training} masks.")
    if faults:
        remedy = "Convert it again, or mend what is not ours."
        raise FaultyCases(faults, max(len(cases), len(faults)), what="are not as they should be", remedy=remedy)
    return len(cases)


def _differences_to_source(job: Job) -> list[str]:
    case = job.case
    try:
        image = case.image.read()
        files = files_to_write(job, image, case.mask.read_on(image) if case.mask else None)
        return [
            difference
            for file, wanted in files.items()
            for difference in _differences(file, sitk.ReadImage(str(job.folder / file)), wanted)
        ]
    except FAULT_TYPES as error:
        return [in_words(error)]


def _differences(file: str, written: sitk.Image, wanted: sitk.Image) -> list[str]:
    if written.GetSize() != wanted.GetSize() or (wanted.GetDimension() == 3 and not same_place(written, wanted)):
        return [f"{file} must lie where its source lies, got another grid. Remove it and convert again."]
    if not np.array_equal(sitk.GetArrayViewFromImage(written), sitk.GetArrayViewFromImage(wanted)):
        return [f"{file} must hold its source's values, got others. Remove it and convert again."]
    return []


def _faults(case: _Written) -> list[str]:
    try:
        changed = [path.name for path, digest in case.hashes.items() if sha256(path) != digest]
        if changed:
            return [f"{', '.join(changed)} must be as converted, got other content. Remove it and convert again."]
        if damaged := [fault for path in (*case.images, case.mask) if path for fault in file_faults(path)]:
            return damaged
        images = [sitk.ReadImage(str(path)) for path in case.images]
        if case.mask is None:
            return []
        mask = sitk.ReadImage(str(case.mask))
        for path, image in zip(case.images, images):
            if image.GetSize() != mask.GetSize() or (image.GetDimension() == 3 and not same_place(image, mask)):
                return [f"{case.mask.name} must have the grid of {path.name}, got another. Resample the mask."]
        unknown = sorted(set(np.unique(sitk.GetArrayViewFromImage(mask)).tolist()) - case.allowed)
        return [f"{case.mask.name} must hold labels of dataset.json, got {unknown}. Mend either."] if unknown else []
    except FAULT_TYPES as error:
        return [in_words(error)]
