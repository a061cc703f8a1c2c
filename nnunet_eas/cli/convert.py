"""Convert knee data into nnU-Net's raw layout, and return predicted masks to their DICOM series.

Convert knee data into nnU-Net's raw layout, and return predicted masks to their DICOM series. Every faulty case is
listed in one error. An interrupted conversion resumes with the same command; run again, the command converts what is
missing or has changed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from dataset_conversion.sources import DATASET_NAMES, HELP
from nnunet_eas.cli import options

if TYPE_CHECKING:
    from dataset_conversion.convert import Converted

LABELS = ("cartilage", "cartilage-and-bone", "sided")
PAPER_CASES = 100


def add_options(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_subparsers(title="kinds", dest="kind", metavar="KIND", required=True)
    for kind, text in HELP.items():
        _add_dataset_options(kinds.add_parser(kind, help=text, description=f"Convert {text}."), kind)

    text = "new scans to predict: every DICOM series below a folder"
    dicom = kinds.add_parser("dicom", help=text, description=f"Convert {text}, with a table that leads back to them.")
    add = dicom.add_argument
    add("-i", type=Path, required=True, metavar="TREE", dest="tree", help="folder with DICOM below it")
    add("-o", type=Path, required=True, metavar="DIR", dest="output", help="e.g. imagesTs")
    add("--side", choices=("left", "right"), help="mirror knees of the other side to this one")
    add("--description", default="", metavar="TEXT", help="only series with TEXT in their description")
    _add_gaps(dicom)
    _add_careful(dicom, "convert the other series", dry_run=True)

    text = "predicted masks to the DICOM series of `convert dicom`: mirrored back, as NIfTI or DICOM SEG"
    masks = kinds.add_parser("masks", help=text, description=f"Return {text}.")
    add = masks.add_argument
    add("-i", type=Path, required=True, metavar="MASKS", dest="masks", help="folder of the predicted masks")
    add("-o", type=Path, required=True, metavar="DIR", dest="output", help="folder for the masks")
    add("--table", type=Path, required=True, help="series.csv, beside the converted scans")
    add("--dicom-seg", type=Path, metavar="TREE", help="write DICOM SEG; the series lie below TREE")
    _add_careful(masks, "return the other masks")

    text = "check any dataset in nnU-Net's raw layout: complete, masks on their images' grids, known labels only"
    verify = kinds.add_parser("verify", help=text, description=f"{text[0].upper()}{text[1:]}.")
    verify.add_argument("dataset", type=Path, help="the folder DatasetXXX_NAME")
    options.add_workers(verify)


def run(args: argparse.Namespace) -> int:
    from dataset_conversion.convert import convert

    arguments = options.keywords(args, "paper")
    if arguments.get("paper_cases") is not None and not args.paper:
        raise ValueError(f"--paper-cases must go with --paper, got {args.paper_cases} alone. Add --paper.")
    if getattr(args, "paper", False) and args.paper_cases is None:
        arguments["paper_cases"] = PAPER_CASES
    result = convert(**arguments, progress=True)
    for case, found in sorted(result.faults.items()):
        print(f"skipped {case}: {'; '.join(found)}", file=sys.stderr)
    for warning in result.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if args.kind == "verify":
        print(f"verified: {options.counted(len(result.cases), 'case')} of {args.dataset.name}")
    elif args.kind == "masks":
        print(f"{options.counted(len(result.cases), 'mask')} in {args.output}")
    elif args.kind == "dicom":
        _print_scans(result, args)
    else:
        _print_dataset(result, args)
    return 0


def _print_dataset(result: Converted, args: argparse.Namespace) -> None:
    from dataset_conversion.writing.report import PAGE

    done = "to convert" if args.dry_run else "converted now"
    print(f"{options.counted(len(result.cases), 'case')} for {result.folder}, {len(result.converted)} of them {done}")
    if args.dry_run:
        return
    if args.verify:
        print(f"verified: {options.counted(len(result.cases), 'case')} as in the source")
    page = result.folder / PAGE
    training_cases = options.counted(result.training_cases, "training case")
    print(f"{training_cases} in {result.folder}; {len(result.odd)} to look at in {page}")
    print(f"next: nnUNetv2_plan_and_preprocess -d {args.dataset_id} --verify_dataset_integrity")


def _print_scans(result: Converted, args: argparse.Namespace) -> None:
    from dataset_conversion.dicom.scans import TABLE

    if args.dry_run:
        print(f"{len(result.cases)} of {len(result.cases) + len(result.faults)} series can be converted")
        return
    print(f"{options.counted(len(result.cases), 'scan')} in {args.output}, their series in {args.output / TABLE}")
    print(f"next: nnunet-eas predict -d DATASET -c 2d -i {args.output} -o MASKS")
    print(f"then: nnunet-eas convert masks -i MASKS -o RETURNED --table {args.output / TABLE}")


def _add_dataset_options(parser: argparse.ArgumentParser, kind: str) -> None:
    add = parser.add_argument
    lists = ""
    if kind == "oai-zib":
        add("--archive", type=Path, required=True, dest="source", help="holds segmentation/ (or OAI-ZIB/)")
        mri = "folder of the scans: OAI's, with 0.C.2/ and 0.E.1/ (DICOM), or NIfTI and MetaImage files"
        add("--mri", type=Path, required=True, help=mri)
        _add_gaps(parser)
        lists = " two-fold: the archive's lists;"
    else:
        add("--source", type=Path, required=True, help="the unpacked data")
    add("-d", type=int, required=True, metavar="ID", dest="dataset_id", help="dataset id, 1 to 999")
    add("--name", default=DATASET_NAMES[kind], help="dataset name (default: %(default)s)")
    if kind != "nnunet":
        add("--labels", choices=LABELS, default="cartilage", help="(default: %(default)s)")
        add("--regions", action="store_true", help="write labels as overlapping regions")
        cropped = "the sagittal slices without cartilage before and behind it cropped"
        paper = f"the paper's protocol: 100 cases drawn at random, {cropped}, cartilage labels"
        add("--paper", action="store_true", help=paper)
        add("--paper-cases", type=int, metavar="N", help="with --paper: so many cases (default: 100)")
        add("--seed", type=int, default=0, help="with --paper: draws other cases (default: %(default)s)")
        add("--slices", action="store_true", help="a 2-D dataset: each sagittal slice with a structure is a case")
    split = f"nnunet: its own five folds;{lists} or a file in nnU-Net's format (default: %(default)s)"
    add("--split", default="nnunet", metavar="SPLIT", help=split)
    add("--output", type=Path, metavar="RAW", help="instead of the folder nnUNet_raw")
    _add_careful(parser, "convert the other cases", dry_run=True)
    add("--verify", action="store_true", help="afterwards read everything again and compare")


def _add_gaps(parser: argparse.ArgumentParser) -> None:
    text = "accept slices that are thinner than the distance between them"
    parser.add_argument("--allow-gaps", action="store_true", help=text)


def _add_careful(parser: argparse.ArgumentParser, skip: str, dry_run: bool = False) -> None:
    parser.add_argument("--skip-faulty", action="store_true", help=skip)
    if dry_run:
        parser.add_argument("--dry-run", action="store_true", help="check everything, write nothing")
    options.add_workers(parser)
