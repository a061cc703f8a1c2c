"""Converts a source into a dataset in nnU-Net's raw layout: checks all, converts what is missing, finishes the dataset.

`dataset.json` is written last: nnU-Net takes no folder without it for a dataset, so half a conversion is never used.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dataset_conversion.case import Source
from dataset_conversion.faults import Faults, FaultyCases
from dataset_conversion.label_schemes import LabelScheme
from dataset_conversion.writing.cases import RECORDS, TILES, Crop, Job, check, convert
from dataset_conversion.writing.output_folder import CONVERSION, SETTINGS, one_conversion_at_a_time
from dataset_conversion.writing.report import write_report
from dataset_conversion.writing.splits import Split, make_split
from nnunet_eas.support.files import write_json
from nnunet_eas.support.parallel import for_all

FORMAT = 1
"""Version of the folder's content; it grows when the same source and settings give other files than before."""

Records = dict[str, dict[str, Any]]
"""The record of every converted case, by identifier."""


@dataclass(frozen=True)
class Settings:
    """Settings of a conversion: the arguments of `convert_dataset`, with folder, label scheme and crop made of them."""

    folder: Path
    scheme: LabelScheme
    as_regions: bool = False
    crop: Crop = "none"
    paper_cases: int | None = None
    seed: int = 0
    split: str | Path = "nnunet"
    workers: int = 1
    skip_faulty: bool = False
    progress: bool = False

    def recorded(self, kind: str) -> dict[str, Any]:
        """The settings that tell the dataset from another one in the same folder."""
        return {
            "format": FORMAT,
            "kind": kind,
            "labels": self.scheme.name,
            "regions": self.as_regions,
            "slices_without_structures": {"none": "kept", "range": "cut off", "slices": "left out, 2-D"}[self.crop],
            "paper_cases": self.paper_cases,
            "seed": self.seed if self.paper_cases else None,
        }


@dataclass(frozen=True)
class Checked:
    """A source without its faulty cases.

    Attributes:
        jobs: All cases of the finished dataset, sorted.
        missing: Those of them that are not converted yet.
        faults: The cases that are left out.
    """

    jobs: tuple[Job, ...]
    missing: tuple[Job, ...]
    faults: Faults


def check_source(source: Source, settings: Settings) -> Checked:
    """Checks every case that is not converted yet, and the split.

    Raises:
        FaultyCases: Some cases are faulty and not to be skipped, or all are.
        ValueError: The folder holds another dataset, the source lacks a structure, it holds too few cases, or the
            split does not fit.
    """
    _refuse_other_datasets(settings, source.kind)
    table = settings.scheme.lookup(source.structures)
    jobs = [Job(case, settings.folder, source.structures, table, settings.crop) for case in source.cases]
    by_name = {job.case.identifier: job for job in jobs}
    missing = {name for name, job in by_name.items() if not _is_done(job)}
    faults = {case: list(found) for case, found in source.faults.items()}
    total = len({*by_name, *faults})
    to_check = [by_name[name] for name in by_name if name in missing]
    checks = for_all(check, to_check, workers=settings.workers, description="checking", progress=settings.progress)
    for job, (found, checked) in checks:
        by_name[job.case.identifier] = checked
        if found:
            faults.setdefault(job.case.identifier, []).extend(found)
    good = [job for name, job in by_name.items() if name not in faults]
    if faults and (not settings.skip_faulty or not good):
        raise FaultyCases(faults, total)
    if not good:
        raise ValueError("The source must hold at least one case, got none. Check the folders.")
    chosen = _chosen(good, settings)
    _check_split(source, settings, chosen)
    return Checked(tuple(chosen), tuple(job for job in chosen if job.case.identifier in missing), faults)


def convert_source(source: Source, checked: Checked, settings: Settings) -> tuple[Records, Split | None, Faults]:
    """Converts what is missing, removes what no longer belongs, and finishes the dataset.

    Returns:
        The records of all cases, the split, and the cases that are left out.

    Raises:
        FaultyCases: Cases turned out faulty although their headers were right.
        OSError: Writing failed (a full disk, say).
    """
    folder = settings.folder
    with one_conversion_at_a_time(folder):
        write_json(folder / SETTINGS, settings.recorded(source.kind))
        wanted = {job.record for job in checked.jobs}
        stale = [record for record in sorted((folder / RECORDS).glob("*.json")) if record not in wanted]
        if checked.missing or stale:
            (folder / "dataset.json").unlink(missing_ok=True)
        for record in stale + [job.record for job in checked.missing]:
            _remove(folder, record)

        faults: Faults = {}
        conversions = for_all(
            convert, checked.missing, workers=settings.workers, description="converting", progress=settings.progress
        )
        for job, found in conversions:
            if found:
                faults[job.case.identifier] = found
        if faults and (not settings.skip_faulty or len(faults) == len(checked.jobs)):
            raise FaultyCases(faults, len(checked.jobs))

        records = read_records(folder)
        patients = training_patients(records)
        split = make_split(settings.split, patients, source.lists)
        if split is None:
            (folder / "splits_final.json").unlink(missing_ok=True)
        else:
            write_json(folder / "splits_final.json", split)
        if settings.paper_cases:
            write_json(folder / CONVERSION / "paper_cases.json", sorted(records))
        faults = {**checked.faults, **faults}
        write_report(folder, records, faults)
        write_json(folder / "dataset.json", _dataset_json(source, settings, len(patients)))
    return records, split, faults


def read_records(folder: Path) -> Records:
    """The record of every converted case, by identifier."""
    return {path.stem: json.loads(path.read_text()) for path in sorted((folder / RECORDS).glob("*.json"))}


def training_patients(records: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """The patient of each of nnU-Net's training identifiers; a case written as slices has many."""
    return {
        Path(output).name.removesuffix(".nii.gz"): record["patient"]
        for record in records.values()
        for output in record["outputs"]
        if output.startswith("labelsTr/")
    }


def _dataset_json(source: Source, settings: Settings, training_cases: int) -> dict[str, Any]:
    content: dict[str, Any] = {
        "channel_names": {"0": source.channel},
        "labels": settings.scheme.labels(settings.as_regions),
        "numTraining": training_cases,
        "file_ending": ".nii.gz",
        "overwrite_image_reader_writer": "SimpleITKIO",
        "name": settings.folder.name.split("_", 1)[1],
        "licence": source.licence,
        "reference": source.reference,
    }
    if settings.as_regions:
        content["regions_class_order"] = settings.scheme.regions_class_order()
    if settings.scheme.is_sided:
        content["description"] = (
            "The labels tell medial from lateral: train without left-right mirroring, -tr EASUNetTrainer_noMirrorLR."
        )
    return content


def _refuse_other_datasets(settings: Settings, kind: str) -> None:
    folder = settings.folder
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    recorded = json.loads((folder / SETTINGS).read_text()) if (folder / SETTINGS).is_file() else None
    wanted = settings.recorded(kind)
    if recorded != wanted:
        differs = (
            "no conversion of ours"
            if recorded is None
            else ", ".join(f"{key} {recorded.get(key)}" for key in wanted if recorded.get(key) != wanted[key])
        )
        raise ValueError(
            f"{folder} must be new, empty or an earlier conversion with the same options, got one with {differs}. "
            "Choose another -d or --name, or remove the folder."
        )


def _is_done(job: Job) -> bool:
    try:
        record = json.loads(job.record.read_text())
        return (
            (job.case.mask is None or job.tile.is_file())
            and record["source"] == job.case.fingerprint()
            and all((job.folder / o).stat().st_size == written["bytes"] for o, written in record["outputs"].items())
        )
    except (OSError, json.JSONDecodeError):
        return False


def _remove(folder: Path, record: Path) -> None:
    if record.is_file():
        for output in json.loads(record.read_text())["outputs"]:
            (folder / output).unlink(missing_ok=True)
        (folder / TILES / f"{record.stem}.png").unlink(missing_ok=True)
        record.unlink()


def _chosen(jobs: list[Job], settings: Settings) -> list[Job]:
    if settings.paper_cases is None:
        return jobs
    training = [job for job in jobs if not job.case.is_test]
    if not 1 <= settings.paper_cases <= len(training):
        raise ValueError(
            f"paper_cases (--paper-cases) must be 1 to the number of training cases, {len(training)}, got "
            f"{settings.paper_cases}. The paper has 100."
        )
    drawn = np.random.default_rng(settings.seed).choice(len(training), settings.paper_cases, replace=False)
    return [training[i] for i in sorted(drawn)]


def _check_split(source: Source, settings: Settings, jobs: list[Job]) -> None:
    """Makes the split once before the work, so that a wrong one is told at once."""
    patients = {job.case.identifier: job.case.patient for job in jobs if not job.case.is_test}
    if settings.crop == "slices":
        if Path(settings.split).is_file():
            return  # it names slices, which are not known yet
        patients = {f"{case}_{n}": patient for case, patient in patients.items() for n in "ab"}
    make_split(settings.split, patients, source.lists)
