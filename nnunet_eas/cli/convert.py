"""`nnunet-eas convert KIND`: knee data and new scans into nnU-Net's raw layout, and predicted masks back."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from dataset_conversion.sources import DATASET_NAMES, HELP

if TYPE_CHECKING:
    from dataset_conversion.convert import Converted

LABELS = ("cartilage", "cartilage-and-bone", "sided")
PAPER_CASES = 100


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `convert` to the command's parser."""
    text = "convert knee data into nnU-Net's raw layout, and return predicted masks to their DICOM series"
    parser = subparsers.add_parser(
        "convert",
        help=text,
        description=f"{text[0].upper()}{text[1:]}. Every faulty case is listed in one error. An interrupted conversion "
        "resumes with the same command; run again, the command converts what is missing or has changed.",
    )
    kinds = parser.add_subparsers(title="kinds", dest="kind", metavar="KIND", required=True)
    for kind, what in HELP.items():
        _add_dataset(kinds, kind, what)
    _add_dicom(kinds)
    _add_masks(kinds)
    text = "check any dataset in nnU-Net's raw layout: complete, masks on their images' grids, known labels only"
    verify = kinds.add_parser("verify", help=text, description=f"{text[0].upper()}{text[1:]}.")
    verify.add_argument("dataset", type=Path, help="the folder DatasetXXX_NAME")
    _add_workers(verify)


def run(args: argparse.Namespace) -> int:
    """Run one conversion; 0 when it has reached its end."""
    from dataset_conversion.convert import convert

    options = {name: value for name, value in vars(args).items() if name not in ("command", "debug", "kind", "paper")}
    if options.get("paper_cases") is not None and not args.paper:
        raise ValueError(f"--paper-cases must go with --paper, got {args.paper_cases} alone. Add --paper.")
    if getattr(args, "paper", False) and args.paper_cases is None:
        options["paper_cases"] = PAPER_CASES
    result = convert(args.kind, progress=True, **options)
    for case, found in sorted(result.faults.items()):
        print(f"skipped {case}: {'; '.join(found)}", file=sys.stderr)
    for warning in result.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    prints = {"dicom": _print_scans, "masks": _print_masks, "verify": _print_verified}
    prints.get(args.kind, _print_dataset)(result, args)
    return 0


def _print_dataset(result: Converted, args: argparse.Namespace) -> None:
    from dataset_conversion.writing.report import PAGE

    done = "to convert" if args.dry_run else "converted now"
    print(f"{len(result.cases)} cases for {result.folder}, {len(result.converted)} of them {done}")
    if args.dry_run:
        return
    if args.verify:
        print(f"verified: {len(result.cases)} cases equal their source")
    page = result.folder / PAGE
    print(f"{result.training_cases} training cases in {result.folder}; {len(result.odd)} to look at in {page}")
    print(f"next: nnUNetv2_plan_and_preprocess -d {args.dataset_id} --verify_dataset_integrity")


def _print_scans(result: Converted, args: argparse.Namespace) -> None:
    from dataset_conversion.dicom.scans import TABLE

    if args.dry_run:
        print(f"{len(result.cases)} of {len(result.cases) + len(result.faults)} series can be converted")
        return
    print(f"{len(result.cases)} scans in {args.output}, their series in {args.output / TABLE}")
    print(f"next: nnUNetv2_predict -i {args.output} -o MASKS -d DATASET -c 2d -tr EASUNetTrainer -f 0")


def _print_masks(result: Converted, args: argparse.Namespace) -> None:
    print(f"{len(result.cases)} masks in {args.output}")


def _print_verified(result: Converted, args: argparse.Namespace) -> None:
    print(f"verified: {len(result.cases)} cases of {args.dataset.name}")


def _add_workers(parser: argparse.ArgumentParser) -> None:
    cores = os.cpu_count() or 1
    parser.add_argument("--workers", type=int, default=cores, metavar="N", help="processes (default: %(default)s)")


def _add_gaps(parser: argparse.ArgumentParser) -> None:
    text = "accept slices that are thinner than the distance between them"
    parser.add_argument("--allow-gaps", action="store_true", help=text)


def _add_dataset(kinds: argparse._SubParsersAction, kind: str, text: str) -> None:
    parser = kinds.add_parser(kind, help=text, description=f"Convert {text}.")
    splits = "nnunet: its own five folds; or a file in nnU-Net's format"
    if kind == "oai-zib":
        parser.add_argument(
            "--archive", type=Path, required=True, dest="source", help="holds segmentation/ (or OAI-ZIB/)"
        )
        parser.add_argument(
            "--mri", type=Path, required=True, help="what oai_mri_paths.txt is relative to, or a folder of volumes"
        )
        _add_gaps(parser)
        splits = "nnunet: its own five folds; two-fold: the archive's lists; or a file in nnU-Net's format"
    else:
        parser.add_argument("--source", type=Path, required=True, help="the unpacked data")
    parser.add_argument("-d", type=int, required=True, metavar="ID", dest="dataset_id", help="dataset id, 1 to 999")
    parser.add_argument("--name", default=DATASET_NAMES[kind], help="dataset name (default: %(default)s)")
    if kind != "nnunet":
        parser.add_argument("--labels", choices=LABELS, default="cartilage", help="(default: %(default)s)")
        parser.add_argument("--regions", action="store_true", help="write labels as overlapping regions")
        parser.add_argument(
            "--paper",
            action="store_true",
            help="the paper's protocol: 100 cases drawn at random, the sagittal slices without cartilage before and "
            "behind it cropped, cartilage labels",
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


def _add_dicom(kinds: argparse._SubParsersAction) -> None:
    text = "new scans for nnUNetv2_predict: every DICOM series below a folder"
    parser = kinds.add_parser("dicom", help=text, description=f"Convert {text}, with a table that leads back to them.")
    parser.add_argument("-i", type=Path, required=True, metavar="TREE", dest="tree", help="folder with DICOM below it")
    parser.add_argument("-o", type=Path, required=True, metavar="DIR", dest="output", help="e.g. imagesTs")
    parser.add_argument("--side", choices=("left", "right"), help="mirror knees of the other side to this one")
    parser.add_argument("--description", default="", metavar="TEXT", help="only series with TEXT in their description")
    _add_gaps(parser)
    parser.add_argument("--skip-faulty", action="store_true", help="convert the other series")
    parser.add_argument("--dry-run", action="store_true", help="check everything, write nothing")
    _add_workers(parser)


def _add_masks(kinds: argparse._SubParsersAction) -> None:
    text = "predicted masks to the DICOM series of `convert dicom`: mirrored back, as NIfTI or DICOM SEG"
    parser = kinds.add_parser("masks", help=text, description=f"Return {text}.")
    parser.add_argument("-i", type=Path, required=True, metavar="MASKS", dest="masks", help="nnUNetv2_predict's output")
    parser.add_argument("-o", type=Path, required=True, metavar="DIR", dest="output", help="folder for the masks")
    parser.add_argument("--table", type=Path, required=True, help="series.csv, beside the converted scans")
    parser.add_argument("--dicom-seg", type=Path, metavar="TREE", help="write DICOM SEG; the series lie below TREE")
    parser.add_argument("--skip-faulty", action="store_true", help="return the other masks")
    _add_workers(parser)
