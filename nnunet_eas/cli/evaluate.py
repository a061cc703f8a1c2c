"""`nnunet-eas evaluate`: overlap, surface distances and volumes of predicted masks, with their definitions."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `evaluate` to the command's parser."""
    parser = subparsers.add_parser(
        "evaluate",
        help="compare predicted masks with references: Dice, HD95, ASSD, NSD and more",
        description="Compare predicted masks with references, case by case and structure by structure: Dice, IoU, "
        "precision, recall, Hausdorff distance, HD95, ASSD, NSD and volumes, in mm. The JSON file defines each number. "
        "A faulty case is named there and on the screen; all others are evaluated, and the exit status is then 1.",
        epilog="example: a dataset.json with the labels {background: 0, femur: 1, femoral_cartilage: 2, tibia: 3, "
        "tibial_cartilage: 4}; -l 2 4 compares the two cartilages only",
    )
    add = parser.add_argument
    add("-ref", type=Path, metavar="DIR", help="reference masks (default: those of a trained model's dataset)")
    add(
        "-pred",
        type=Path,
        required=True,
        metavar="DIR",
        help="predicted masks of the same names, or a trained model's folder: all its folds' validation cases",
    )
    add(
        "-djfile",
        type=Path,
        metavar="JSON",
        help="dataset.json with the structures' names (default: the one in -pred, if there is one)",
    )
    add(
        "-l",
        type=int,
        nargs="+",
        metavar="N",
        help="label values to compare, the numbers in dataset.json's labels (default: all structures of dataset.json, "
        "or without one all labels that the references hold)",
    )
    add("--tolerance-mm", type=float, default=1.0, metavar="MM", help="the NSD's tolerance (default: %(default)s)")
    add("-o", type=Path, required=True, metavar="JSON", help="file for the results")
    add("--csv", type=Path, metavar="CSV", help="also write a table, a line per case and structure")
    cores = os.cpu_count() or 1
    add("--workers", type=int, default=cores, metavar="N", help="processes (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Evaluates, writes, prints; returns 0. PartialSuccess is passed on once the results are written."""
    from nnunet_eas.evaluation.evaluate import evaluate
    from nnunet_eas.support.errors import PartialSuccess
    from nnunet_eas.support.outputs import check_output_file

    if args.csv and args.csv.resolve() == args.o.resolve():
        raise ValueError(f"--csv must be another file than -o, got {args.csv} for both. Give another name.")
    for argument, path in (("-o", args.o), ("--csv", args.csv or args.o)):
        check_output_file(path, argument)
    partial = None
    try:
        result = evaluate(
            args.ref,
            args.pred,
            labels=args.l,
            dataset_json=args.djfile,
            tolerance_mm=args.tolerance_mm,
            workers=args.workers,
            progress=True,
        )
    except PartialSuccess as error:
        partial, result = error, error.result
    result.write_json(args.o)
    if args.csv:
        result.write_csv(args.csv)
    if result.folds:
        print(f"validation cases of {', '.join(result.folds)}")
    if result.per_case:
        print(result.table())
    print(f"{result.content['cases']} cases in {args.o}", flush=True)
    if result.folds == ("fold_all",):
        print("warning: fold_all was trained on the very cases that it is evaluated on", file=sys.stderr)
    for case, fault in partial.faults.items() if partial else ():
        print(f"left out {case}: {fault}", file=sys.stderr)
    if partial:
        raise partial
    return 0
