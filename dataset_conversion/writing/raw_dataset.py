"""Converts a source into a dataset in nnU-Net's raw layout: checks all, converts what is missing, finishes the dataset.

`dataset.json` is written last: nnU-Net takes no folder without it for a dataset, so half a conversion is never used.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dataset_conversion.case import Source
from dataset_conversion.faults import Faults, ForAll, find_faults, refuse
from dataset_conversion.label_schemes import LabelScheme
from dataset_conversion.writing.cases import RECORDS, TILES, Crop, Job, check_case, convert_case
from dataset_conversion.writing.output_folder import CONVERSION, SETTINGS, one_conversion_at_a_time
from dataset_conversion.writing.report import write_report
from dataset_conversion.writing.splits import Split, make_split
from nnunet_eas.support.files import read_json, write_json

FORMAT = 1
"""Version of the folder's content; it grows when the same source and settings give other files than before."""

Records = dict[str, dict[str, Any]]
"""The record of every converted case, by identifier."""


@dataclass(frozen=True)
class RawDataset:
    """A dataset that a source becomes; the other fields are arguments of `convert_dataset`, or made of them."""

    source: Source
    folder: Path
    scheme: LabelScheme
    for_all: ForAll
    as_regions: bool
    crop: Crop
    paper_cases: int | None
    seed: int
    split: str | Path
    skip_faulty: bool

    def check(self) -> tuple[list[Job], list[Job], Faults]:
        """Checks every case that is not converted yet, and the split.

        Returns:
            All cases of the finished dataset, those of them that are not converted yet, and the cases to leave out.
        """
        self._refuse_another_dataset()
        table = self.scheme.lookup(self.source.structures)
        jobs = [Job(case, self.folder, self.source.structures, table, self.crop) for case in self.source.cases]
        missing = [job for job in jobs if not _is_done(job)]
        faults = {case: list(found) for case, found in self.source.faults.items()}
        by_name = {job.name: job for job in jobs}
        total = len({*by_name, *faults})
        for job, (found, checked) in self.for_all(check_case, missing, description="checking"):
            by_name[job.name] = checked
            if found:
                faults.setdefault(job.name, []).extend(found)
        refuse(faults, total, self.skip_faulty)
        if not jobs:
            raise ValueError("The source must hold at least one case, got none. Check the folders.")
        chosen = self._chosen([job for name, job in by_name.items() if name not in faults])
        self._check_split(chosen)
        names = {job.name for job in missing}
        return chosen, [job for job in chosen if job.name in names], faults

    def convert(self, jobs: list[Job], missing: list[Job], left_out: Faults) -> tuple[Records, Split | None, Faults]:
        """Converts what is missing, removes what no longer belongs, and finishes the dataset.

        Returns:
            The records of all cases, the split, and the cases that are left out.
        """
        folder = self.folder
        with one_conversion_at_a_time(folder):
            write_json(folder / SETTINGS, self._settings())
            stale = sorted({*(folder / RECORDS).glob("*.json")} - {job.record for job in jobs})
            if missing or stale:
                (folder / "dataset.json").unlink(missing_ok=True)
            for record in stale + [job.record for job in missing]:
                _remove(folder, record)
            faults = find_faults(self.for_all, convert_case, missing, "converting")
            refuse(faults, len(jobs), self.skip_faulty)

            records = read_records(folder)
            patients = training_patients(records)
            split = make_split(self.split, patients, self.source.lists)
            if split is None:
                (folder / "splits_final.json").unlink(missing_ok=True)
            else:
                write_json(folder / "splits_final.json", split)
            if self.paper_cases:
                write_json(folder / CONVERSION / "paper_cases.json", sorted(records))
            faults = {**left_out, **faults}
            write_report(folder, records, faults)
            write_json(folder / "dataset.json", self._dataset_json(len(patients)))
        return records, split, faults

    def _settings(self) -> dict[str, Any]:
        """The settings that tell the dataset from another one in the same folder."""
        return {
            "format": FORMAT,
            "kind": self.source.kind,
            "labels": self.scheme.name,
            "regions": self.as_regions,
            "slices_without_structures": {"none": "kept", "range": "cut off", "slices": "left out, 2-D"}[self.crop],
            "paper_cases": self.paper_cases,
            "seed": self.seed if self.paper_cases else None,
        }

    def _refuse_another_dataset(self) -> None:
        if not self.folder.exists() or (self.folder.is_dir() and not any(self.folder.iterdir())):
            return
        file, wanted, differs = self.folder / SETTINGS, self._settings(), "no conversion of ours"
        if file.is_file():
            recorded = read_json(file, SETTINGS.name, keys=())
            if recorded == wanted:
                return
            differs = ", ".join(f"{key} {recorded.get(key)}" for key in wanted if recorded.get(key) != wanted[key])
        raise ValueError(
            f"{self.folder} must be new, empty or an earlier conversion with the same options, got one with {differs}. "
            "Choose another -d or --name, or remove the folder."
        )

    def _chosen(self, jobs: list[Job]) -> list[Job]:
        if self.paper_cases is None:
            return jobs
        training = [job for job in jobs if not job.case.is_test]
        if not 1 <= self.paper_cases <= len(training):
            raise ValueError(
                f"paper_cases (--paper-cases) must be 1 to the number of training cases, {len(training)}, got "
                f"{self.paper_cases}. The paper has 100."
            )
        drawn = np.random.default_rng(self.seed).choice(len(training), self.paper_cases, replace=False)
        return [training[i] for i in sorted(drawn)]

    def _check_split(self, jobs: list[Job]) -> None:
        """Makes the split once before the work, so that a wrong one is told at once."""
        patients = {job.name: job.case.patient for job in jobs if not job.case.is_test}
        if self.crop == "slices":
            if Path(self.split).is_file():
                return  # it names slices, which are not known yet
            patients = {f"{case}_{n}": patient for case, patient in patients.items() for n in "ab"}
        make_split(self.split, patients, self.source.lists)

    def _dataset_json(self, training_cases: int) -> dict[str, Any]:
        content: dict[str, Any] = {
            "channel_names": {"0": self.source.channel},
            "labels": self.scheme.labels(self.as_regions),
            "numTraining": training_cases,
            "file_ending": ".nii.gz",
            "overwrite_image_reader_writer": "SimpleITKIO",
            "name": self.folder.name.split("_", 1)[1],
            "licence": self.source.licence,
            "reference": self.source.reference,
        }
        if self.as_regions:
            content["regions_class_order"] = self.scheme.regions_class_order()
        if self.scheme.is_sided:
            remedy = "train without left-right mirroring, -tr EASUNetTrainer_noMirrorLR."
            content["description"] = f"The labels tell medial from lateral: {remedy}"
        return content


def read_records(folder: Path) -> Records:
    """The record of every converted case, by identifier."""
    files = sorted((folder / RECORDS).glob("*.json"))
    return {file.stem: read_json(file, file.name, keys=["patient", "outputs", "source"]) for file in files}


def training_patients(records: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """The patient of each of nnU-Net's training identifiers; a case written as slices has many."""
    return {
        Path(output).name.removesuffix(".nii.gz"): record["patient"]
        for record in records.values()
        for output in record["outputs"]
        if output.startswith("labelsTr/")
    }


def _is_done(job: Job) -> bool:
    try:
        record = read_json(job.record, job.record.name, keys=["source", "outputs"])
        return (
            (job.case.mask is None or job.tile.is_file())
            and record["source"] == job.case.fingerprint()
            and all((job.folder / o).stat().st_size == written["bytes"] for o, written in record["outputs"].items())
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError):  # as converted anew
        return False


def _remove(folder: Path, record: Path) -> None:
    if record.is_file():
        with suppress(ValueError):  # half a record names nothing; what is written anew replaces it
            for output in read_json(record, record.name, keys=["outputs"])["outputs"]:
                (folder / output).unlink(missing_ok=True)
        (folder / TILES / f"{record.stem}.png").unlink(missing_ok=True)
        record.unlink()
