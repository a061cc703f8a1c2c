"""Conversion of knee data for nnU-Net, as Python functions. `nnunet_eas.convert` is `convert`."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from dataset_conversion.case import Source
from dataset_conversion.dicom import returned_masks, scans
from dataset_conversion.faults import Faults, told
from dataset_conversion.label_schemes import SCHEMES, LabelScheme
from dataset_conversion.sources import DATASET_NAMES, iwoai, nnunet_raw, oai_zib, oaizib_cm, ski10
from dataset_conversion.writing.raw_dataset import RawDataset, training_patients
from dataset_conversion.writing.report import sagittal_warnings
from dataset_conversion.writing.splits import split_warnings
from dataset_conversion.writing.verify import verify_against_source, verify_dataset
from nnunet_eas.support.errors import PartialSuccess
from nnunet_eas.support.parallel import for_all

FINDERS: dict[str, Callable[..., Source]] = {
    "oai-zib": oai_zib.find,
    "oaizib-cm": oaizib_cm.find,
    "ski10": ski10.find,
    "iwoai": iwoai.find,
    "nnunet": nnunet_raw.find,
}
"""Function that finds the cases of each source."""


@dataclass(frozen=True)
class Converted:
    """Result of a conversion or a check.

    Attributes:
        folder: The dataset, the folder of scans, or the folder of masks.
        cases: Identifiers of all cases in the folder that belong to the conversion.
        converted: Identifiers of the cases that this call wrote, or that a dry run would have written.
        faults: Reasons for each case that was left out, by identifier.
        odd: Remarks on each converted mask that a person should look at, by identifier.
        warnings: Sentences about the whole.
        training_cases: Number of nnU-Net's training cases, which is larger than that of the source's cases where each
            slice is a case.
    """

    folder: Path
    cases: tuple[str, ...]
    converted: tuple[str, ...] = ()
    faults: Faults = field(default_factory=dict)
    odd: Faults = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    training_cases: int = 0


def convert(kind: str, *paths: str | Path, **options: Any) -> Converted:
    """Converts knee data into nnU-Net's raw layout, or checks it, by one of the four functions below.

    Args:
        kind: "oai-zib", "oaizib-cm", "ski10", "iwoai" or "nnunet" for scans with masks (`convert_dataset`); "dicom" for
            new scans (`convert_dicom`); "masks" for predicted masks (`convert_masks`); "verify" for a dataset
            (`verify`).
        *paths: Positional arguments of that function after its kind.
        **options: Keyword arguments of that function.

    Returns:
        What that function returns.

    Raises:
        ValueError: The kind is unknown, and as that function.

    Example:
        >>> from nnunet_eas import convert
        >>> result = convert("oai-zib", "knees/archive", mri="knees/mri", dataset_id=502, labels="cartilage")
        >>> result.faults
        {}
    """
    if kind in FINDERS:
        return convert_dataset(kind, *paths, **options)
    others: dict[str, Callable[..., Converted]] = {"dicom": convert_dicom, "masks": convert_masks, "verify": verify}
    if kind not in others:
        raise ValueError(f"kind must be one of {', '.join([*FINDERS, *others])}, got {kind!r}. Choose one of them.")
    return others[kind](*paths, **options)


def convert_dataset(
    kind: str,
    source: str | Path,
    *,
    dataset_id: int,
    mri: str | Path | None = None,
    output: str | Path | None = None,
    name: str | None = None,
    labels: str = "cartilage",
    regions: bool = False,
    paper_cases: int | None = None,
    seed: int = 0,
    slices: bool = False,
    split: str | Path = "nnunet",
    allow_gaps: bool = False,
    skip_faulty: bool = False,
    dry_run: bool = False,
    verify: bool = False,
    workers: int = 1,
    progress: bool = False,
) -> Converted:
    """Converts scans with masks into a dataset `DatasetXXX_NAME` in nnU-Net's raw layout.

    All cases are checked first. Called again, it converts what is missing or has changed. `conversion/report.html` in
    the dataset shows every case with the outline of its mask.

    Args:
        kind: "oai-zib", "oaizib-cm", "ski10", "iwoai" or "nnunet".
        source: Folder of the unpacked data; for "oai-zib" the archive with `segmentation/` or `OAI-ZIB/`.
        dataset_id: nnU-Net's dataset id, 1 to 999.
        mri: "oai-zib" only: folder that the lines of oai_mri_paths.txt are relative to, or a folder of volumes.
        output: Folder for the dataset's folder. None takes the environment variable nnUNet_raw.
        name: Name of the dataset. None takes the source's, "OAIZIB" for example.
        labels: "cartilage", "cartilage-and-bone" or "sided". A "nnunet" dataset keeps its own labels.
        regions: Write the labels as overlapping regions.
        paper_cases: Number of cases for the paper's protocol: so many are drawn at random, and the sagittal slices
            without cartilage before and behind it are cropped. None takes all cases whole.
        seed: For drawing the cases.
        slices: Write a 2-D dataset, in which each sagittal slice with a structure is a case.
        split: "nnunet" for nnU-Net's own five folds, "two-fold" for the archive's lists, or a file in nnU-Net's format.
        allow_gaps: Accept slices that are thinner than the distance between them.
        skip_faulty: Convert the other cases where some are faulty.
        dry_run: Check everything, and write nothing.
        verify: Read everything again afterwards, and compare.
        workers: Processes.
        progress: Show progress bars on a terminal.

    Raises:
        FaultyCases: Some cases are faulty and not to be skipped, or all are, or `verify` finds a difference.
        ValueError: An argument is out of its range, or the folder holds another dataset.
        FileNotFoundError: The source is not there.
        RuntimeError: nnUNet_raw is not set, or another conversion writes into the folder.
    """
    if kind not in FINDERS:
        raise ValueError(f"kind must be one of {', '.join(FINDERS)}, got {kind!r}. Choose one of them.")
    if paper_cases is not None and labels != "cartilage":
        raise ValueError(f"--labels must be cartilage with --paper, got {labels}. Leave one of the two out.")
    if labels not in SCHEMES:
        raise ValueError(f"labels must be one of {', '.join(SCHEMES)}, got {labels!r}. Choose one of them.")
    scan_folder = {"mri": None if mri is None else Path(mri), "allow_gaps": allow_gaps} if kind == "oai-zib" else {}
    found = FINDERS[kind](Path(source), **scan_folder)
    own_labels = LabelScheme("as they are", tuple(found.structures.values()), {})
    each = partial(for_all, workers=workers, progress=progress)
    dataset = RawDataset(
        found,
        _dataset_folder(output, dataset_id, DATASET_NAMES[kind] if name is None else name),
        own_labels if kind == "nnunet" else SCHEMES[labels],
        each,
        as_regions=regions,
        crop="slices" if slices else "range" if paper_cases is not None else "none",
        paper_cases=paper_cases,
        seed=seed,
        split=split,
        skip_faulty=skip_faulty,
    )
    jobs, missing, faults = dataset.check()
    if dry_run:
        cases, to_convert = (tuple(job.name for job in chosen) for chosen in (jobs, missing))
        return Converted(dataset.folder, cases, to_convert, faults)
    records, made_split, faults = dataset.convert(jobs, missing, faults)
    training_cases = len(training_patients(records))
    if verify:
        verify_against_source(jobs, each)
        verify_dataset(dataset.folder, each)
    return Converted(
        dataset.folder,
        tuple(records),
        tuple(job.name for job in missing if job.name in records),
        faults,
        odd={case: record["anomalies"] for case, record in records.items() if record.get("anomalies")},
        warnings=(*split_warnings(made_split, training_cases, dataset.folder.name), *sagittal_warnings(records)),
        training_cases=training_cases,
    )


def convert_dicom(
    tree: str | Path,
    output: str | Path,
    *,
    side: str | None = None,
    description: str = "",
    allow_gaps: bool = False,
    skip_faulty: bool = False,
    dry_run: bool = False,
    workers: int = 1,
    progress: bool = False,
) -> Converted:
    """Converts new scans for prediction: every DICOM series below a folder, with a table that leads back to them.

    Args:
        tree: Folder with DICOM below it.
        output: Folder for NAME_0000.nii.gz and `series.csv`, new or from an earlier call.
        side: "left" or "right": mirror knees of the other side to this one. None mirrors none.
        description: Text that a series' description must hold, in upper or lower case.
        allow_gaps: Accept slices that are thinner than the distance between them.
        skip_faulty: Convert the other series where some are faulty.
        dry_run: Check everything, and write nothing.
        workers: Processes.
        progress: Show progress bars on a terminal.

    Raises:
        FaultyCases: Some series are faulty and not to be skipped, or all are. Nothing is written.
        PartialSuccess: Some series turned out faulty although their headers were right; the others are written.
        ValueError: An argument is out of its range, or the folder holds something else.
        FileNotFoundError: There is no DICOM image.
    """
    if side not in (None, "left", "right"):
        raise ValueError(f"side must be left, right or None, got {side!r}. Choose one of them.")
    output, each = Path(output), partial(for_all, workers=workers, progress=progress)
    found = scans.find(Path(tree), output, each, side=side, allow_gaps=allow_gaps, description=description)
    converted, faults = scans.convert_scans(found, output, each, skip_faulty=skip_faulty, dry_run=dry_run)
    names = [scan.name for scan in found if scan.name not in faults]
    result = Converted(output, tuple(names), tuple(converted), faults)
    return _partial_unless(skip_faulty, result, len(found))


def convert_masks(
    masks: str | Path,
    output: str | Path,
    *,
    table: str | Path,
    dicom_seg: str | Path | None = None,
    skip_faulty: bool = False,
    workers: int = 1,
    progress: bool = False,
) -> Converted:
    """Returns predicted masks to the DICOM series of `convert_dicom`: mirrored back, as NIfTI or as DICOM SEG.

    Args:
        masks: Folder with the masks NAME.nii.gz that nnU-Net predicted.
        output: Folder for the masks, another one than `masks`.
        table: `series.csv` of the converted scans, beside the images.
        dicom_seg: Folder with the DICOM series below it: write DICOM SEG. None writes NIfTI.
        skip_faulty: Write the other masks where some are faulty.
        workers: Processes.
        progress: Show progress bars on a terminal.

    Raises:
        FaultyCases: Some masks are faulty and not to be skipped, or all are. Nothing is written.
        PartialSuccess: Some masks could not be written; the others are.
        ValueError: `output` is `masks`, or the table is none.
        FileNotFoundError: There are no masks, no table, or no series.
        ModuleNotFoundError: DICOM SEG is wanted, and highdicom is not installed.
    """
    output, table, each = Path(output), Path(table), partial(for_all, workers=workers, progress=progress)
    rows = scans.read_table(table)
    found = None
    if dicom_seg is not None:
        import dataset_conversion.dicom.seg  # noqa: F401  # a missing highdicom is told before the work

        # whether a scan has gaps was decided when it was converted
        found = scans.find(Path(dicom_seg), output, each, allow_gaps=True, option="--dicom-seg")
    written, faults = returned_masks.return_masks(
        Path(masks), rows, table.parent, output, found, each, skip_faulty=skip_faulty
    )
    warnings = []
    if without := sorted(set(rows) - set(written)):
        warnings.append(f"{len(without)} scan(s) of the table have no mask: {', '.join(without[:5])}")
    result = Converted(output, tuple(written), tuple(written), faults, warnings=tuple(warnings))
    return _partial_unless(skip_faulty, result, len(written) + len(faults), what=returned_masks.CANNOT)


def verify(dataset: str | Path, *, workers: int = 1, progress: bool = False) -> Converted:
    """Checks any dataset in nnU-Net's raw layout: complete, masks on their images' grids, known labels only.

    Args:
        dataset: The folder DatasetXXX_NAME.
        workers: Processes.
        progress: Show a progress bar on a terminal.

    Raises:
        FaultyCases: Some cases are wrong.
        ValueError: The folder holds no dataset.
    """
    cases = verify_dataset(Path(dataset), partial(for_all, workers=workers, progress=progress))
    return Converted(Path(dataset), tuple(cases))


def _dataset_folder(output: str | Path | None, dataset_id: int, name: str) -> Path:
    if not 1 <= dataset_id <= 999:
        raise ValueError(f"dataset_id (-d) must be 1 to 999, got {dataset_id}. Choose a free number.")
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise ValueError(f"--name must consist of letters, digits, - and _, got {name!r}. Choose another.")
    raw = output or os.environ.get("nnUNet_raw")
    if not raw:
        raise RuntimeError("nnUNet_raw must be set to a folder, got nothing. Set it, or give --output.")
    if Path(raw).is_file():
        raise NotADirectoryError(f"--output must be a folder, got the file {raw}. Choose another.")
    folder = Path(raw) / f"Dataset{dataset_id:03d}_{name}"
    if others := [f for f in Path(raw).glob(f"Dataset{dataset_id:03d}_*") if f != folder]:
        raise ValueError(
            f"dataset_id (-d) must be a free number, got {dataset_id}, which {others[0].name} has. Choose another."
        )
    return folder


def _partial_unless(skip_faulty: bool, result: Converted, total: int, **words: str) -> Converted:
    """The result; raised as PartialSuccess where cases have failed that were not to be skipped."""
    if result.faults and not skip_faulty:
        faults = {name: "; ".join(found) for name, found in result.faults.items()}
        raise PartialSuccess(told(result.faults, total, **words), result, faults)
    return result
