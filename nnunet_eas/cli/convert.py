"""`nnunet-eas convert KIND`: other people's knees, and new patients' scans, in nnU-Net's raw layout."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataset_conversion.case import Source
    from dataset_conversion.raw_dataset import Split

LABELS = ("cartilage", "cartilage-and-bone", "sided")
NAMES = {"oai-zib": "OAIZIB", "oaizib-cm": "OAIZIBCM", "ski10": "SKI10", "iwoai": "IWOAI", "nnunet": "LPS"}
HELP = {
    "oai-zib": "the ZIB archive's 507 masks with their OAI scans (DICOM, NIfTI or MetaImage)",
    "oaizib-cm": "OAIZIB-CM, the same knees repackaged: 404 train, 103 test",
    "ski10": "SKI10: image-001.mhd with labels-001.mhd",
    "iwoai": "IWOAI 2019: HDF5 .im with .seg",
    "nnunet": "a dataset in nnU-Net's raw layout: turned to LPS, checked, with a report",
}


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `convert` to the command's parser."""
    parser = subparsers.add_parser(
        "convert",
        help="bring knee data into nnU-Net's raw layout, and predicted masks home",
        description="Bring knee data into nnU-Net's raw layout, and predicted masks home. Every faulty case is listed "
        "in one error. Interrupted, the same command goes on; run again, it converts what is missing or has changed.",
    )
    kinds = parser.add_subparsers(title="kinds", dest="kind", metavar="KIND", required=True)
    for kind, text in HELP.items():
        _add_training_kind(kinds, kind, text)
    _add_dicom(kinds)
    _add_masks(kinds)
    verify = kinds.add_parser(
        "verify", help="check any dataset in nnU-Net's raw layout", description=_run_verify.__doc__
    )
    verify.add_argument("dataset", type=Path, help="the folder DatasetXXX_NAME")
    _add_workers(verify)


def run(args: argparse.Namespace) -> int:
    """Run one conversion; 0 when it has reached its end."""
    if args.workers < 1:
        raise ValueError(f"--workers must be at least 1, got {args.workers}. Give the number of processes.")
    special = {"dicom": _run_dicom, "masks": _run_masks, "verify": _run_verify}
    return special.get(args.kind, _run_training_kind)(args)


def _add_workers(parser: argparse.ArgumentParser) -> None:
    cores = os.cpu_count() or 1
    parser.add_argument("--workers", type=int, default=cores, metavar="N", help="processes (default: %(default)s)")


def _add_training_kind(kinds: argparse._SubParsersAction, kind: str, text: str) -> None:
    parser = kinds.add_parser(kind, help=text, description=f"Convert {text}.")
    if kind == "oai-zib":
        parser.add_argument("--archive", type=Path, required=True, help="holds segmentation/ (or OAI-ZIB/)")
        parser.add_argument(
            "--mri", type=Path, required=True, help="what oai_mri_paths.txt is relative to, or a folder of volumes"
        )
        parser.add_argument(
            "--allow-gaps", action="store_true", help="accept slices that are thinner than the distance between them"
        )
        splits = "nnunet: its own five folds; two-fold: the archive's lists; or a file in nnU-Net's format"
    else:
        parser.add_argument("--source", type=Path, required=True, help="the unpacked data")
        splits = "nnunet: its own five folds; or a file in nnU-Net's format"
    parser.add_argument("-d", type=int, required=True, metavar="ID", dest="dataset_id", help="dataset id, 1 to 999")
    parser.add_argument("--name", default=NAMES[kind], help="dataset name (default: %(default)s)")
    if kind != "nnunet":
        parser.add_argument("--labels", choices=LABELS, default="cartilage", help="(default: %(default)s)")
        parser.add_argument("--regions", action="store_true", help="write labels as overlapping regions")
        parser.add_argument(
            "--paper",
            action="store_true",
            help="the paper's protocol: 100 cases drawn at random, the sagittal slices without cartilage before and "
            "behind it cut off, cartilage labels",
        )
        parser.add_argument("--paper-cases", type=int, metavar="N", help="with --paper: so many cases (default: 100)")
        parser.add_argument(
            "--seed", type=int, default=0, help="with --paper: draws other cases (default: %(default)s)"
        )
        parser.add_argument(
            "--slices", action="store_true", help="a 2-D dataset: each sagittal slice with a structure is a case"
        )
    parser.add_argument("--split", default="nnunet", metavar="SPLIT", help=f"{splits} (default: %(default)s)")
    parser.add_argument("--output", type=Path, metavar="RAW", help="instead of the folder nnUNet_raw")
    parser.add_argument("--skip-faulty", action="store_true", help="convert the other cases")
    parser.add_argument("--dry-run", action="store_true", help="check everything, write nothing")
    parser.add_argument("--verify", action="store_true", help="afterwards read everything again and compare")
    _add_workers(parser)


def _run_training_kind(args: argparse.Namespace) -> int:
    from dataset_conversion import splits
    from dataset_conversion.raw_dataset import Settings, check_source, convert_source, read_records
    from dataset_conversion.report import PAGE, sagittal_warning
    from dataset_conversion.verify import verify_against_source, verify_dataset

    source, scheme = _source(args)
    if getattr(args, "paper_cases", None) is not None and not args.paper:
        raise ValueError(f"--paper-cases must go with --paper, got {args.paper_cases} alone. Add --paper.")
    paper_cases = None
    if getattr(args, "paper", False):
        paper_cases = 100 if args.paper_cases is None else args.paper_cases
    if getattr(args, "paper", False) and args.labels != "cartilage":
        raise ValueError(f"--labels must be cartilage with --paper, got {args.labels}. Leave one of the two out.")
    settings = Settings(
        folder=_dataset_folder(args),
        scheme=scheme,
        as_regions=getattr(args, "regions", False),
        cut="slices" if getattr(args, "slices", False) else "range" if paper_cases else "none",
        paper_cases=paper_cases,
        seed=getattr(args, "seed", 0),
        workers=args.workers,
        skip_faulty=args.skip_faulty,
    )
    made: list[Split | None] = []

    def make_split(patients: Mapping[str, str]) -> Split | None:
        made.append(_split(args.split, source, patients))
        return made[-1]

    checked = check_source(source, settings)
    for case, found in checked.faults.items():
        print(f"skipped {case}: {'; '.join(found)}", file=sys.stderr)
    # a wrong split is told before the work; of slices, a file's names are not known yet
    patients = {j.case.identifier: j.case.patient for j in checked.jobs if not j.case.is_test}
    if settings.cut == "slices":
        patients = {f"{case}_{n}": patient for case, patient in patients.items() for n in "ab"}
    if settings.cut != "slices" or not Path(args.split).is_file():
        _split(args.split, source, patients)
    missing = len(checked.jobs) - len(checked.done & {job.case.identifier for job in checked.jobs})
    print(f"{len(checked.jobs)} cases for {settings.folder}, {missing} of them to convert", flush=True)
    if args.dry_run:
        return 0
    content = convert_source(source, checked, settings, make_split)
    records = read_records(settings.folder)
    warnings = (
        splits.folds_warning(made[-1]),
        splits.few_cases_warning(made[-1], content["numTraining"]),
        _preprocessed_split_warning(settings.folder.name, made[-1]),
        sagittal_warning(records),
    )
    for warning in warnings:
        if warning:
            print(f"warning: {warning}", file=sys.stderr)
    if args.verify:
        verify_against_source(checked.jobs, workers=args.workers)
        print(f"verified: {verify_dataset(settings.folder, workers=args.workers)} cases equal their source")
    odd = sum(bool(record.get("anomalies")) for record in records.values())
    print(f"{content['numTraining']} training cases in {settings.folder}; {odd} to look at in {settings.folder / PAGE}")
    print(f"next: nnUNetv2_plan_and_preprocess -d {args.dataset_id} --verify_dataset_integrity")
    return 0


def _preprocessed_split_warning(dataset: str, split: Split | None) -> str | None:
    """Whether nnU-Net has preprocessed this dataset with another split, which it would keep or stumble over."""
    file = Path(os.environ.get("nnUNet_preprocessed", "")) / dataset / "splits_final.json"
    if not file.is_file() or split is None or json.loads(file.read_text()) == split:
        return None
    return f"{file} holds another split, and nnU-Net will refuse to plan. Remove it."


def _source(args: argparse.Namespace) -> tuple[Source, Any]:
    from dataset_conversion import iwoai, nnunet_raw, oai_zib, oaizib_cm, ski10
    from dataset_conversion.label_schemes import SCHEMES, LabelScheme

    if args.kind == "oai-zib":
        return oai_zib.find(args.archive, args.mri, allow_gaps=args.allow_gaps), SCHEMES[args.labels]
    if args.kind == "nnunet":
        source = nnunet_raw.find(args.source)
        return source, LabelScheme("as they are", tuple(source.structures.values()), {})
    finders: dict[str, Callable[[Path], Source]] = {
        "oaizib-cm": oaizib_cm.find,
        "ski10": ski10.find,
        "iwoai": iwoai.find,
    }
    return finders[args.kind](args.source), SCHEMES[args.labels]


def _dataset_folder(args: argparse.Namespace) -> Path:
    if not 1 <= args.dataset_id <= 999:
        raise ValueError(f"-d must be 1 to 999, got {args.dataset_id}. Choose a free number.")
    if not re.fullmatch(r"[A-Za-z0-9_-]+", args.name):
        raise ValueError(f"--name must consist of letters, digits, - and _, got {args.name!r}. Choose another.")
    raw = args.output or os.environ.get("nnUNet_raw")
    if not raw:
        raise RuntimeError("nnUNet_raw must be set to a folder, got nothing. Set it, or give --output.")
    if Path(raw).is_file():
        raise NotADirectoryError(f"--output must be a folder, got the file {raw}. Choose another.")
    folder = Path(raw) / f"Dataset{args.dataset_id:03d}_{args.name}"
    others = [f for f in Path(raw).glob(f"Dataset{args.dataset_id:03d}_*") if f != folder]
    if others:
        raise ValueError(
            f"-d must be a free number, got {args.dataset_id}, which {others[0].name} has. Choose another."
        )
    return folder


def _split(split: str, source: Source, patients: Mapping[str, str]) -> Split | None:
    from dataset_conversion import splits

    if split == "nnunet":
        return splits.nnunet_folds(patients)
    if split == "two-fold":
        return splits.two_fold(patients, source.lists)
    if not Path(split).is_file():
        raise FileNotFoundError(f"--split must be nnunet, two-fold or a file, got {split}. Correct the path.")
    return splits.split_from_file(patients, Path(split))


def _add_dicom(kinds: argparse._SubParsersAction) -> None:
    text = "new scans for nnUNetv2_predict: every DICOM series below a folder"
    parser = kinds.add_parser("dicom", help=text, description=f"Convert {text}, with a table that leads back to them.")
    parser.add_argument("-i", type=Path, required=True, metavar="TREE", dest="tree", help="folder with DICOM below it")
    parser.add_argument("-o", type=Path, required=True, metavar="DIR", dest="output", help="e.g. imagesTs")
    parser.add_argument("--side", choices=("left", "right"), help="mirror knees of the other side to this one")
    parser.add_argument("--description", default="", metavar="TEXT", help="only series with TEXT in their description")
    parser.add_argument(
        "--allow-gaps", action="store_true", help="accept slices that are thinner than the distance between them"
    )
    parser.add_argument("--skip-faulty", action="store_true", help="convert the other series")
    parser.add_argument("--dry-run", action="store_true", help="check everything, write nothing")
    _add_workers(parser)


def _run_dicom(args: argparse.Namespace) -> int:
    from dataset_conversion.scans import TABLE, convert_scans, find

    scans = find(
        args.tree,
        args.output,
        side=args.side,
        allow_gaps=args.allow_gaps,
        description=args.description,
        workers=args.workers,
    )
    faults = convert_scans(scans, args.output, workers=args.workers, skip_faulty=args.skip_faulty, dry_run=args.dry_run)
    for name, found in sorted(faults.items()):
        print(f"skipped {name}: {'; '.join(found)}", file=sys.stderr)
    done = len(scans) - len(faults)
    if args.dry_run:
        print(f"{done} of {len(scans)} series can be converted")
        return 0
    print(f"{done} scans in {args.output}, their series in {args.output / TABLE}")
    print(f"next: nnUNetv2_predict -i {args.output} -o MASKS -d DATASET -c 2d -tr EASUNetTrainer -f 0")
    return 0


def _add_masks(kinds: argparse._SubParsersAction) -> None:
    text = "predicted masks back to the DICOM series of `convert dicom`: mirrored back, as NIfTI or DICOM SEG"
    parser = kinds.add_parser("masks", help=text, description=f"Bring {text}.")
    parser.add_argument("-i", type=Path, required=True, metavar="MASKS", dest="masks", help="nnUNetv2_predict's output")
    parser.add_argument("-o", type=Path, required=True, metavar="DIR", dest="output", help="folder for the masks")
    parser.add_argument("--table", type=Path, required=True, help="series.csv, beside the converted scans")
    parser.add_argument("--dicom-seg", type=Path, metavar="TREE", help="write DICOM SEG; the series lie below TREE")
    parser.add_argument("--skip-faulty", action="store_true", help="bring the other masks home")
    _add_workers(parser)


def _run_masks(args: argparse.Namespace) -> int:
    from dataset_conversion.masks_home import bring_home
    from dataset_conversion.scans import find, read_table

    table = read_table(args.table)
    scans = None
    if args.dicom_seg is not None:
        # whether a scan has gaps was decided when it was converted
        scans = find(args.dicom_seg, args.output, allow_gaps=True, workers=args.workers, option="--dicom-seg")
    faults = bring_home(
        args.masks,
        table,
        args.table.parent,
        args.output,
        scans=scans,
        workers=args.workers,
        skip_faulty=args.skip_faulty,
    )
    for name, found in sorted(faults.items()):
        print(f"skipped {name}: {'; '.join(found)}", file=sys.stderr)
    written = {f.name.removesuffix(".nii.gz") for f in args.masks.glob("*.nii.gz")} - set(faults)
    print(f"{len(written)} masks in {args.output}")
    if without := sorted(set(table) - written):
        print(f"warning: {len(without)} scan(s) of the table have no mask: {', '.join(without[:5])}", file=sys.stderr)
    return 0


def _run_verify(args: argparse.Namespace) -> int:
    """Read every case of a dataset in nnU-Net's raw layout: complete, mask on its image's grid, known labels only."""
    from dataset_conversion.verify import verify_dataset

    print(f"verified: {verify_dataset(args.dataset, workers=args.workers)} cases of {args.dataset.name}")
    return 0
