"""New scans for prediction: converts every DICOM series below a folder, and writes a table that leads back to it.

File names hold nothing of the DICOM's text. In OAI's own folders they bear the OAI id; elsewhere they are made from the
series' UID, so that the same series always gets the same name. `series.csv` gives the UID and the folder for each name;
parts of the folder's name that repeat the patient's name, id or a date are written as `*`.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk

from dataset_conversion.dicom.header import is_no_image, read_headers
from dataset_conversion.dicom.series import DicomSeries
from dataset_conversion.faults import FAULT_TYPES, Faults, ForAll, errors_are_faults, find_faults, in_words, refuse
from dataset_conversion.geometry import obliquity_deg
from dataset_conversion.writing.nifti import write_nifti
from dataset_conversion.writing.output_folder import CONVERSION, SETTINGS, one_conversion_at_a_time, sha256
from nnunet_eas.support.files import read_csv, read_json, write_csv, write_json

TABLE = "series.csv"
COLUMNS = ("name", "series_instance_uid", "folder", "slices", "side", "mirrored", "shape_zyx", "spacing_zyx_mm")
SKIPPED = CONVERSION / "skipped.json"
_RECORDS = CONVERSION / "series"
_OAI_FOLDER = re.compile(r"(9\d{6})/\d{8}/(\d{8})$")
_PATIENT_TEXT = ("PatientName", "PatientID", "PatientBirthDate", "StudyDate", "SeriesDate", "AcquisitionDate")


@dataclass(frozen=True)
class Scan:
    """One series and how to convert it."""

    name: str  # nnU-Net's case identifier
    series: DicomSeries
    folder: str  # its place below the tree, without the patient's text
    output: Path
    side: str | None  # to which knees of the other side are mirrored
    damaged: tuple[str, ...]  # unreadable files beside the series, which may have been slices of it

    @property
    def is_mirrored(self) -> bool:
        """Whether the written image shows the mirrored knee."""
        return self.side is not None and self.series.side in {"left", "right"} - {self.side}

    @property
    def image(self) -> Path:
        return self.output / f"{self.name}_0000.nii.gz"

    @property
    def record(self) -> Path:
        return self.output / _RECORDS / f"{self.name}.json"

    def fingerprint(self) -> str:
        """A digest that changes when a file of the series or an option changes."""
        stats = [(f.name, f.stat().st_size, f.stat().st_mtime_ns) for f in self.series.files()]
        return hashlib.sha256(repr((stats, self.is_mirrored, self.series.allow_gaps)).encode()).hexdigest()


def find(
    tree: Path,
    output: Path,
    for_all: ForAll,
    *,
    side: str | None = None,
    allow_gaps: bool = False,
    description: str = "",
    option: str = "-i",
) -> list[Scan]:
    """Every series below a folder, sorted by name; arguments as in `convert_dicom`.

    `option` is the name of `tree` in the command. `output`, where it lies in the tree, is not searched.
    """
    if not tree.is_dir():
        raise FileNotFoundError(f"{option} must be a folder with DICOM files below it, got {tree}. Correct the path.")
    folders = []
    for folder, subfolders, names in os.walk(tree):
        subfolders[:] = sorted(s for s in subfolders if (Path(folder) / s).resolve() != output.resolve())
        if files := [Path(folder) / name for name in sorted(names) if not is_no_image(Path(name))]:
            folders.append(files)
    found: dict[str, dict[str, Path]] = {}
    damaged: dict[Path, list[str]] = {}
    read_folders = for_all(read_headers, sorted(folders), description="reading headers")
    for files, (headers, unreadable) in sorted(read_folders, key=lambda pair: pair[0]):
        damaged[files[0].parent] = unreadable
        members: dict[str, dict[str, Path]] = {}
        for header in headers:
            if description.lower() in header.description.lower():
                members.setdefault(header.series, {})[header.instance] = header.file
        for uid, instances in members.items():
            # a copy of a file elsewhere in the tree is the same slice, not a second one
            found[uid] = {**instances, **found.get(uid, {})}
    if not found:
        such = f" with {description!r} in their series' description" if description else ""
        raise FileNotFoundError(f"{option} must hold DICOM images{such}, got none below {tree}. Check the export.")
    scans = []
    for uid, instances in found.items():
        files = sorted(instances.values())
        places = sorted({file.parent for file in files})
        scans.append(
            Scan(
                name=_name(uid, places[0]),
                series=DicomSeries(tuple(files), allow_gaps=allow_gaps),
                folder=_without_text(places[0].relative_to(tree), files[0]),
                output=output,
                side=side,
                damaged=tuple(name for place in places for name in damaged[place]),
            )
        )
    return sorted(_with_distinct_names(scans), key=lambda scan: scan.name)


def convert_scans(
    scans: Sequence[Scan], output: Path, for_all: ForAll, *, skip_faulty: bool, dry_run: bool
) -> tuple[list[str], Faults]:
    """Checks all series, converts those that are missing or have changed, and writes the table.

    Returns:
        The names of the series that were converted, or would be, and the faults of those that are left out.
    """
    side = scans[0].side
    if output.is_file() or (output.is_dir() and any(output.iterdir())):
        if not (output / SETTINGS).is_file():
            raise ValueError(f"-o must be new, empty or an earlier conversion, got {output}. Choose another folder.")
        before = read_json(output / SETTINGS, SETTINGS.name, keys=["side"])["side"]
        if before != side:  # `convert masks` would mirror masks wrongly that were predicted from the scans there
            was = f"--side must stay what it was in {output}, {before or 'none'}"
            raise ValueError(f"{was}, got {side or 'none'}. Choose another folder.")
    todo = [scan for scan in scans if not _is_done(scan)]
    faults = find_faults(for_all, _check, todo, "checking")
    refuse(faults, len(scans), skip_faulty)
    todo = [scan for scan in todo if scan.name not in faults]
    if not dry_run:
        with one_conversion_at_a_time(output):
            write_json(output / SETTINGS, {"side": side})
            (output / _RECORDS).mkdir(exist_ok=True)
            faults |= find_faults(for_all, _convert, todo, "converting")
            files = sorted((output / _RECORDS).glob("*.json"))
            records = [read_json(file, file.name, "Remove it, and convert again.", keys=COLUMNS) for file in files]
            write_csv(output / TABLE, COLUMNS, [{column: record[column] for column in COLUMNS} for record in records])
            write_json(output / SKIPPED, faults)
    return [scan.name for scan in todo if scan.name not in faults], faults


def read_table(file: Path) -> dict[str, dict[str, str]]:
    """The rows of `series.csv`, by name."""
    if not file.is_file():
        raise FileNotFoundError(f"--table must be the {TABLE} of a conversion, got {file}. It lies beside the images.")
    rows = read_csv(file, "--table")
    if not rows or not set(COLUMNS) <= set(rows[0]):
        raise ValueError(f"--table must have the columns {', '.join(COLUMNS)}, got {file}. Convert the scans again.")
    return {row["name"]: row for row in rows}


def mirrored(image: sitk.Image) -> sitk.Image:
    """The oriented image with left and right exchanged on the same grid."""
    result = sitk.GetImageFromArray(np.ascontiguousarray(sitk.GetArrayViewFromImage(image)[:, :, ::-1]))
    result.CopyInformation(image)
    return result


def _name(uid: str, folder: Path) -> str:
    if oai := _OAI_FOLDER.search(folder.resolve().as_posix()):
        return f"oai_{oai[1]}_{oai[2]}"
    return f"series_{hashlib.sha256(uid.encode()).hexdigest()[:10]}"


def _with_distinct_names(scans: list[Scan]) -> list[Scan]:
    """The scans, where several series of one OAI folder have got a digest behind their name."""
    uses = Counter(scan.name for scan in scans)
    places = [scan.series.paths[0].as_posix() + scan.folder for scan in scans]
    digests = [hashlib.sha256(place.encode()).hexdigest()[:6] for place in places]
    return [
        replace(scan, name=f"{scan.name}_{digest}") if uses[scan.name] > 1 else scan
        for scan, digest in zip(scans, digests)
    ]


def _without_text(folder: Path, file: Path) -> str:
    """The folder's name without the patient's text that stands in the header of a file in it."""
    header = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=list(_PATIENT_TEXT))
    words = {w.lower() for tag in _PATIENT_TEXT for w in re.split(r"[\^\s,=]+", str(header.get(tag, ""))) if len(w) > 1}
    # an OAI id is a pseudonym, given so that cases can be told apart
    words -= {word for word in words if re.fullmatch(r"9\d{6}", word)}
    parts = ["*" if any(word in part.lower() for word in words) else part for part in folder.parts]
    return "/".join(parts).replace(",", "?")


@errors_are_faults
def _check(scan: Scan) -> list[str]:
    found = list(scan.series.faults())
    if scan.damaged:
        found.append(
            f"{len(scan.damaged)} file(s) beside its slices can't be read as DICOM, {scan.damaged[0]} first. Get "
            "them anew, or take away what is no slice."
        )
    if scan.side is not None and scan.series.side not in ("left", "right"):
        found.append(
            f"its header names {'both sides' if scan.series.side else 'no side'}, so whether to mirror it is "
            "unknown. Convert it without --side, into another folder."
        )
    return found


def _convert(scan: Scan) -> list[str]:
    try:
        fingerprint = scan.fingerprint()
        image = scan.series.read()
    except FAULT_TYPES as error:
        return [in_words(error)]
    if scan.is_mirrored:
        image = mirrored(image)
    write_nifti(image, scan.image, unfinished=scan.output / CONVERSION)
    record = {
        "name": scan.name,
        "series_instance_uid": scan.series.slices[0].series,
        "folder": scan.folder,
        "slices": len(scan.series.slices),
        "side": scan.series.side or "",
        "mirrored": "yes" if scan.is_mirrored else "no",
        "shape_zyx": "x".join(map(str, image.GetSize()[::-1])),
        "spacing_zyx_mm": "x".join(f"{s:.6g}" for s in image.GetSpacing()[::-1]),
        "obliquity_deg": round(obliquity_deg(image), 2),
        "source": fingerprint,
        "sha256": sha256(scan.image),
    }
    write_json(scan.record, record)
    return []


def _is_done(scan: Scan) -> bool:
    try:
        record = read_json(scan.record, scan.record.name, keys=["source", *COLUMNS])
        return record["source"] == scan.fingerprint() and scan.image.is_file()
    except (OSError, ValueError):
        return False
