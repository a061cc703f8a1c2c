"""`nnunet-eas quantify`: volume, surface and thickness of the structures in masks, with their definitions."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `quantify` to the command's parser."""
    parser = subparsers.add_parser(
        "quantify",
        help="measure the structures in masks: volume, thickness, surface, bare bone",
        description="Measure the structures in 3-D masks, in mm: volume, surface, the thickness of layers such as "
        "cartilage (mean, spread, regions), and the bone that they cover and leave bare. A row per case and label. "
        "nnunet_eas/morphometry/measures.py defines the numbers. A faulty mask is named, all others are measured, and "
        "the exit status is then 1.",
        epilog="example: a dataset.json with the labels {background: 0, femur: 1, femoral_cartilage: 2, tibia: 3, "
        "tibial_cartilage: 4}; -l 2 4 measures the two cartilages only",
    )
    add = parser.add_argument
    add("masks", type=Path, metavar="MASKS", help="folder of masks, or one mask")
    add(
        "-l",
        type=int,
        nargs="+",
        metavar="N",
        help="label values to measure, the numbers in dataset.json's labels (default: all structures of dataset.json, "
        "or without one all labels that the masks hold)",
    )
    add("-o", type=Path, required=True, metavar="CSV", help="file for the table")
    add("--maps", type=Path, metavar="DIR", help="also draw maps of thickness, as PNG, in this folder")
    add(
        "-djfile",
        type=Path,
        metavar="JSON",
        help="dataset.json with the structures' names (default: the one beside the masks, if there is one)",
    )
    add(
        "--bones",
        nargs="+",
        metavar="CARTILAGE=BONE",
        help="bone that a cartilage lies on, by name or number (default: dataset.json's femoral_cartilage=femur, "
        "tibial_cartilage=tibia, patellar_cartilage=patella)",
    )
    cores = os.cpu_count() or 1
    add("--workers", type=int, default=cores, metavar="N", help="processes (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Measures, writes, prints; returns 0. PartialSuccess is passed on once the table is written."""
    from nnunet_eas.morphometry.quantify import quantify
    from nnunet_eas.support.errors import PartialSuccess
    from nnunet_eas.support.outputs import check_output_file

    for pair in args.bones or ():
        if pair.count("=") != 1:
            raise ValueError(f"--bones must be pairs CARTILAGE=BONE, got {pair}. Give for example 2=1.")
    check_output_file(args.o, "-o")
    partial = None
    try:
        result = quantify(
            args.masks,
            labels=args.l,
            bones=dict(pair.split("=") for pair in args.bones) if args.bones else None,
            dataset_json=args.djfile,
            maps=args.maps,
            workers=args.workers,
            progress=True,
        )
    except PartialSuccess as error:
        partial, result = error, error.result
    result.write_csv(args.o)
    print(f"{len(result.cases)} cases in {args.o}", flush=True)
    for note in result.notes:
        print(f"warning: {note}", file=sys.stderr)
    for case, fault in partial.faults.items() if partial else ():
        print(f"left out {case}: {fault}", file=sys.stderr)
    if partial:
        raise partial
    return 0
