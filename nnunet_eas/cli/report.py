"""`nnunet-eas report`: trained models side by side on one HTML page that needs no other file."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `report` to the command's parser."""
    parser = subparsers.add_parser(
        "report",
        help="one HTML page that shows trained models side by side",
        description="Compare trained models of one dataset on the validation cases that all of them have: metrics with "
        "their definitions, distributions, best, median and worst case as pictures, training curves, settings. The "
        "page is one file that opens without network. The same input gives the same bytes.",
    )
    add = parser.add_argument
    add("models", type=Path, nargs="+", metavar="MODEL", help="trained model's folder, TRAINER__PLANS__CONFIGURATION")
    add("-ref", type=Path, metavar="DIR", help="reference masks (default: gt_segmentations in nnUNet_preprocessed)")
    add("-images", type=Path, metavar="DIR", help="scans (default: imagesTr in nnUNet_raw)")
    add("--names", nargs="+", metavar="NAME", help="the models' names on the page, in their order")
    add("--tolerance-mm", type=float, default=1.0, metavar="MM", help="the NSD's tolerance (default: %(default)s)")
    add("-o", type=Path, required=True, metavar="HTML", help="file for the page")
    cores = os.cpu_count() or 1
    add("--workers", type=int, default=cores, metavar="N", help="processes (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Writes the page, prints what was left out; returns 0. PartialSuccess is passed on once all is printed."""
    from nnunet_eas.reporting.report import report
    from nnunet_eas.support.errors import PartialSuccess

    partial = None
    try:
        result = report(
            args.models,
            args.o,
            references=args.ref,
            images=args.images,
            names=args.names,
            tolerance_mm=args.tolerance_mm,
            workers=args.workers,
            progress=True,
        )
    except PartialSuccess as error:
        partial, result = error, error.result
    cases = f"{len(result.cases)} case{'s' if len(result.cases) != 1 else ''}"
    print(f"{cases} of {', '.join(result.models)} in {args.o}", flush=True)
    for note in result.notes:
        print(f"note: {note}", file=sys.stderr)
    for name, why in result.left_out.items():
        print(f"left out {name}: {'; '.join(why)}", file=sys.stderr)
    for case, fault in result.without_scan.items():
        print(f"{case} is shown without its scan: {fault}", file=sys.stderr)
    if partial:
        raise partial
    return 0
