"""From a source to a dataset in nnU-Net's raw layout: check all, convert what is missing, then finish the dataset.

`dataset.json` comes last: nnU-Net takes no folder without it for a dataset, so half a conversion is never used as one.
Next to nnU-Net's own files lies `conversion/`: the settings, a record of each case, the report.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dataset_conversion.case import Source
from dataset_conversion.convert_case import RECORDS, TILES, UNFINISHED, Cut, Job, check, convert, write_json
from dataset_conversion.faults import FaultyCases
from dataset_conversion.label_schemes import LabelScheme
from dataset_conversion.lock import locked
from dataset_conversion.report import write_report
from nnunet_eas.support.parallel import for_all

SETTINGS = Path("conversion", "settings.json")
FORMAT = 1
"""Of what lies in the folder; it grows when the same source and settings give other files than before."""

Split = list[dict[str, list[str]]]


@dataclass(frozen=True)
class Settings:
    """What to make of a source.

    Attributes:
        folder: The dataset's, `DatasetXXX_NAME`.
        scheme: Its labels.
        as_regions: Whether they are trained as overlapping regions.
        cut: As in `Job`.
        paper_cases: As the paper: this many cases, drawn at random. None takes all.
        seed: For drawing them.
        workers: Processes.
        skip_faulty: Convert the others.
    """

    folder: Path
    scheme: LabelScheme
    as_regions: bool = False
    cut: Cut = "none"
    paper_cases: int | None = None
    seed: int = 0
    workers: int = 1
    skip_faulty: bool = False

    def recorded(self, kind: str) -> dict[str, Any]:
        """What distinguishes the dataset from another one of the same name."""
        return {
            "format": FORMAT,
            "kind": kind,
            "labels": self.scheme.name,
            "regions": self.as_regions,
            "slices_without_structures": {"none": "kept", "range": "cut off", "slices": "left out, 2-D"}[self.cut],
            "paper_cases": self.paper_cases,
            "seed": self.seed if self.paper_cases else None,
        }


@dataclass(frozen=True)
class Checked:
    """A source without its faulty cases.

    Attributes:
        jobs: What is to be there in the end, sorted.
        done: Identifiers of those that are there already.
        faults: The cases that were skipped.
    """

    jobs: tuple[Job, ...]
    done: frozenset[str]
    faults: Mapping[str, list[str]]


def check_source(source: Source, settings: Settings) -> Checked:
    """Looks at every case that is not converted yet.

    Raises:
        FaultyCases: There are some, and they are not to be skipped, or there are no others.
        ValueError: The folder holds another dataset, the source lacks a structure, or it holds too few cases.
    """
    _refuse_other_datasets(settings, source.kind)
    table = settings.scheme.lookup(source.structures)
    jobs = [Job(case, settings.folder, source.structures, table, settings.cut) for case in source.cases]
    done = frozenset(job.case.identifier for job in jobs if _is_done(job))
    faults = {case: list(found) for case, found in source.faults.items()}
    total = len({job.case.identifier for job in jobs} | set(faults))
    to_check = [job for job in jobs if job.case.identifier not in done]
    checked = {job.case.identifier: job for job in jobs}
    for job, (found, looked_at) in for_all(check, to_check, workers=settings.workers, description="checking"):
        checked[job.case.identifier] = looked_at
        if found:
            faults.setdefault(job.case.identifier, []).extend(found)
    jobs = [job for name, job in checked.items() if name not in faults]
    if faults and (not settings.skip_faulty or not jobs):
        raise FaultyCases(faults, total)
    if not jobs:
        raise ValueError("The source must hold at least one case, got none. Check the folders.")
    return Checked(tuple(_chosen(jobs, settings)), done, faults)


def convert_source(
    source: Source, checked: Checked, settings: Settings, make_split: Callable[[Mapping[str, str]], Split | None]
) -> dict[str, Any]:
    """Converts what is missing, drops what no longer belongs, and finishes the dataset.

    Args:
        source: Where the cases come from.
        checked: By `check_source`.
        settings: The same.
        make_split: From each training identifier's patient to the split, None for nnU-Net's own.

    Returns:
        Content of dataset.json.

    Raises:
        FaultyCases: Cases turned out faulty although their headers were right.
        OSError: Writing failed (a full disk, say).
    """
    with locked(settings.folder):
        return _convert_source(source, checked, settings, make_split)


def _convert_source(
    source: Source, checked: Checked, settings: Settings, make_split: Callable[[Mapping[str, str]], Split | None]
) -> dict[str, Any]:
    folder = settings.folder
    write_json(settings.recorded(source.kind), folder / SETTINGS, folder)
    wanted = {job.case.identifier for job in checked.jobs}
    missing = [job for job in checked.jobs if job.case.identifier not in checked.done]
    stale = [record for record in sorted((folder / RECORDS).glob("*.json")) if record.stem not in wanted]
    if missing or stale:
        (folder / "dataset.json").unlink(missing_ok=True)
    for record in stale + [folder / RECORDS / f"{job.case.identifier}.json" for job in missing]:
        _remove(folder, record)

    faults: dict[str, list[str]] = {}
    for job, found in for_all(convert, missing, workers=settings.workers, description="converting"):
        if found:
            faults[job.case.identifier] = found
    shutil.rmtree(folder / UNFINISHED, ignore_errors=True)
    if faults and (not settings.skip_faulty or len(faults) == len(checked.jobs)):
        raise FaultyCases(faults, len(checked.jobs))

    records = read_records(folder)
    splits = make_split(training_identifiers(records))
    if splits is None:
        (folder / "splits_final.json").unlink(missing_ok=True)
    else:
        write_json(splits, folder / "splits_final.json", folder)
    if settings.paper_cases:
        write_json(sorted(records), folder / "conversion" / "paper_cases.json", folder)
    write_report(folder, records, {**checked.faults, **faults})
    content = _dataset_json(source, settings, records)
    write_json(content, folder / "dataset.json", folder)
    shutil.rmtree(folder / UNFINISHED, ignore_errors=True)
    return content


def read_records(folder: Path) -> dict[str, dict[str, Any]]:
    """The record of every converted case, by identifier."""
    return {path.stem: json.loads(path.read_text()) for path in sorted((folder / RECORDS).glob("*.json"))}


def training_identifiers(records: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """nnU-Net's training identifiers and each one's patient; a case of slices has many."""
    return {
        Path(output).name.removesuffix(".nii.gz"): record["patient"]
        for record in records.values()
        for output in record["outputs"]
        if output.startswith("labelsTr/")
    }


def _dataset_json(source: Source, settings: Settings, records: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    content: dict[str, Any] = {
        "channel_names": {"0": source.channel},
        "labels": settings.scheme.labels(settings.as_regions),
        "numTraining": len(training_identifiers(records)),
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
    record_file = job.folder / RECORDS / f"{job.case.identifier}.json"
    try:
        record = json.loads(record_file.read_text())
        tile_is_there = job.case.mask is None or (job.folder / TILES / f"{job.case.identifier}.png").is_file()
        return (
            tile_is_there
            and record["source"] == job.case.fingerprint()
            and all((job.folder / o).stat().st_size == written["bytes"] for o, written in record["outputs"].items())
        )
    except (OSError, json.JSONDecodeError):
        return False


def _remove(folder: Path, record: Path) -> None:
    """Takes away a case that is not, or no longer, what it should be."""
    if record.is_file():
        for output in json.loads(record.read_text())["outputs"]:
            (folder / output).unlink(missing_ok=True)
        (folder / TILES / f"{record.stem}.png").unlink(missing_ok=True)
        record.unlink()


def _chosen(jobs: list[Job], settings: Settings) -> list[Job]:
    if settings.paper_cases is None:
        return jobs
    if settings.paper_cases < 1:
        raise ValueError(f"--paper-cases must be at least 1, got {settings.paper_cases}. The paper has 100.")
    training = [job for job in jobs if not job.case.is_test]
    if len(training) < settings.paper_cases:
        raise ValueError(
            f"--paper-cases must be at most the number of training cases, {len(training)}, got {settings.paper_cases}. "
            "Lower it."
        )
    drawn = np.random.default_rng(settings.seed).choice(len(training), settings.paper_cases, replace=False)
    return [training[i] for i in sorted(drawn)]
