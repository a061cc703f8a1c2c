"""One HTML page that shows trained models side by side.

Compare trained models of one dataset on the validation cases that all of them have: metrics with their definitions,
distributions, best, median and worst case as pictures, training curves, settings. The page is one file that opens
without network. The same input gives the same bytes.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from nnunet_eas.cli import options

if TYPE_CHECKING:
    from nnunet_eas.reporting.report import Report


def add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("models", type=Path, nargs="+", metavar="MODEL", help="trained model's folder, TRAINER__PLANS__CONFIGURATION")
    references = "reference masks (default: gt_segmentations in nnUNet_preprocessed)"
    add("-ref", type=Path, metavar="DIR", dest="references", help=references)
    add("-images", type=Path, metavar="DIR", help="scans (default: imagesTr in nnUNet_raw)")
    add("--names", nargs="+", metavar="NAME", help="the models' names on the page, in their order")
    options.add_tolerance(parser)
    add("-o", type=Path, required=True, metavar="HTML", dest="output", help="file for the page")
    options.add_workers(parser)


def run(args: argparse.Namespace) -> int:
    from nnunet_eas.reporting.report import report

    def show(result: Report) -> None:
        options.say(f"{options.counted(len(result.cases), 'case')} of {', '.join(result.models)} in {args.output}")
        for note in result.notes:
            print(f"note: {note}", file=sys.stderr)
        for name, why in result.left_out.items():
            print(f"left out {name}: {'; '.join(why)}", file=sys.stderr)
        for case, fault in result.without_scan.items():
            print(f"{case} is shown without its scan: {fault}", file=sys.stderr)

    return options.finish(report, {**options.keywords(args), "progress": True}, show, tell_faults=False)
