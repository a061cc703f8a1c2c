"""Compare predicted masks with references: Dice, HD95, ASSD, NSD and more.

Compare predicted masks with references, case by case and structure by structure: Dice, IoU, precision, recall,
Hausdorff distance, HD95, ASSD, NSD and volumes, in mm. The JSON file defines each number. A faulty case is named there
and on the screen; all others are evaluated, and the exit status is then 1. A call that was interrupted goes on when it
is made again.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from nnunet_eas.cli import options

if TYPE_CHECKING:
    from nnunet_eas.evaluation.evaluate import Evaluation


def add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    references = "reference masks (default: those of a trained model's dataset)"
    add("-ref", type=Path, metavar="DIR", dest="references", help=references)
    predictions = "predicted masks of the same names, or a trained model's folder: all its folds' validation cases"
    add("-pred", type=Path, required=True, metavar="DIR", dest="predictions", help=predictions)
    options.add_labels(parser, "compare", "references", "in -pred")
    options.add_tolerance(parser)
    add("-o", type=Path, required=True, metavar="JSON", help="file for the results")
    add("--csv", type=Path, metavar="CSV", help="also write a table, a line per case and structure")
    options.add_workers(parser)


def run(args: argparse.Namespace) -> int:
    from nnunet_eas.evaluation.evaluate import evaluate
    from nnunet_eas.support.files import PARTIAL
    from nnunet_eas.support.outputs import check_output_file

    if args.csv and args.csv.resolve() == args.o.resolve():
        raise ValueError(f"--csv must be another file than -o, got {args.csv} for both. Give another name.")
    for argument, path in (("-o", args.o), ("--csv", args.csv or args.o)):
        check_output_file(path, argument)
    unfinished = args.o.with_name(f"{PARTIAL}{args.o.name}.jsonl")

    def show(result: Evaluation) -> None:
        result.write_json(args.o)
        unfinished.unlink(missing_ok=True)
        if args.csv:
            result.write_csv(args.csv)
        if result.folds:
            print(f"validation cases of {', '.join(result.folds)}")
        if result.per_case:
            print(result.table())
        options.say(f"{options.counted(result.content['cases'], 'case')} in {args.o}")
        if result.folds == ("fold_all",):
            print("warning: fold_all was trained on the very cases that it is evaluated on", file=sys.stderr)

    return options.finish(
        evaluate, {**options.keywords(args, "o", "csv"), "unfinished": unfinished, "progress": True}, show
    )
