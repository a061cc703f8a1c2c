"""Reads datasets again and checks them: against their source, or by themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from dataset_conversion.faults import Faults, ForAll, errors_are_faults, find_faults, refuse
from dataset_conversion.geometry import same_place
from dataset_conversion.image_files import file_faults
from dataset_conversion.sources.nnunet_raw import read_dataset_json
from dataset_conversion.writing.cases import Job, files_to_write
from dataset_conversion.writing.output_folder import sha256
from dataset_conversion.writing.raw_dataset import read_records


@dataclass(frozen=True)
class _CaseFiles:
    name: str
    images: tuple[Path, ...]
    mask: Path | None
    digests: Mapping[Path, str]  # that the conversion recorded
    labels: frozenset[int]  # of the dataset


def verify_against_source(jobs: Sequence[Job], for_all: ForAll) -> None:
    """Compares every converted case with its source: each voxel, and the places of the corners."""
    faults = find_faults(for_all, _differences_to_source, jobs, "comparing")
    remedy = "Remove what differs and convert it again."
    refuse(faults, len(jobs), what="differ from their source", remedy=remedy)


def verify_dataset(folder: Path, for_all: ForAll) -> list[str]:
    """Checks a dataset in nnU-Net's raw layout by itself, whoever wrote it, and returns its cases' identifiers.

    Every image must be readable and complete and have its mask on the same grid, masks must hold the labels of
    dataset.json only, and files that our conversion recorded must be unchanged.
    """
    dataset = read_dataset_json(folder, "The folder")
    ending, channels = dataset["file_ending"], len(dataset["channel_names"])
    numbers = [value if isinstance(value, list) else [value] for value in dataset["labels"].values()]
    labels = frozenset(int(number) for values in numbers for number in values)
    digests = {
        folder / output: written["sha256"]
        for record in read_records(folder).values()
        for output, written in record["outputs"].items()
    }
    faults: Faults = {}
    cases: list[_CaseFiles] = []
    for side in ("Tr", "Ts"):
        masks = {f.name.removesuffix(ending) for f in (folder / f"labels{side}").glob(f"*{ending}")}
        with_image = {f.name.removesuffix(ending)[:-5] for f in (folder / f"images{side}").glob(f"*_????{ending}")}
        for name in sorted(masks | with_image):
            images = tuple(folder / f"images{side}" / f"{name}_{c:04d}{ending}" for c in range(channels))
            mask = folder / f"labels{side}" / f"{name}{ending}"
            missing = [f.name for f in (*images, mask) if not f.is_file() and (side == "Tr" or f != mask)]
            if missing:
                faults[name] = [f"{', '.join(missing)} is missing. Convert it again."]
                continue
            own = {f: digests[f] for f in (*images, mask) if f in digests}
            cases.append(_CaseFiles(name, images, mask if mask.is_file() else None, own, labels))
        if side == "Tr" and len(masks) != int(dataset.get("numTraining", -1)):
            faults["dataset"] = [f"numTraining is {dataset.get('numTraining')}, but labelsTr holds {len(masks)} masks."]
    if not cases and not set(faults) - {"dataset"}:
        raise ValueError(f"{folder} must hold cases, got none. Convert it again.")
    faults |= find_faults(for_all, _faults, cases, "verifying")
    if gone := sorted(path.name for path in digests if not path.is_file()):
        faults.setdefault("dataset", []).append(f"{', '.join(gone)} was converted and is gone. Convert it again.")
    remedy = "Convert it again, or correct what another program wrote."
    refuse(faults, max(len(cases), len(faults)), what="are not as they should be", remedy=remedy)
    return [case.name for case in cases]


@errors_are_faults
def _differences_to_source(job: Job) -> list[str]:
    image, found = job.case.image.read(), []
    for file, wanted in files_to_write(job, image, job.case.mask.read_on(image) if job.case.mask else None).items():
        written = sitk.ReadImage(str(job.folder / file))
        if not _same_grid(written, wanted):
            found.append(f"{file} must lie where its source lies, got another grid. Remove it and convert again.")
        elif not np.array_equal(sitk.GetArrayViewFromImage(written), sitk.GetArrayViewFromImage(wanted)):
            found.append(f"{file} must hold its source's values, got others. Remove it and convert again.")
    return found


def _same_grid(a: sitk.Image, b: sitk.Image) -> bool:
    """Whether two images have the same grid; of 2-D images, only the size is compared."""
    return a.GetSize() == b.GetSize() and (a.GetDimension() != 3 or same_place(a, b))


@errors_are_faults
def _faults(case: _CaseFiles) -> list[str]:
    if changed := [path.name for path, digest in case.digests.items() if sha256(path) != digest]:
        return [f"{', '.join(changed)} must be as converted, got other content. Remove it and convert again."]
    if damaged := [fault for path in (*case.images, case.mask) if path for fault in file_faults(path)]:
        return damaged
    images = [sitk.ReadImage(str(path)) for path in case.images]
    if case.mask is None:
        return []
    mask = sitk.ReadImage(str(case.mask))
    for path, image in zip(case.images, images):
        if not _same_grid(image, mask):
            return [f"{case.mask.name} must have the grid of {path.name}, got another. Resample the mask."]
    if unknown := sorted(set(np.unique(sitk.GetArrayViewFromImage(mask)).tolist()) - case.labels):
        return [f"{case.mask.name} must hold labels of dataset.json, got {unknown}. Correct one of the two."]
    return []
