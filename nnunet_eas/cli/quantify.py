"""Measure the structures in masks: volume, thickness, surface, bare bone.

Measure the structures in 3-D masks, in mm: volume, surface, the thickness of layers such as cartilage (mean, spread,
regions), and the bone that they cover and leave bare. A row per case and label. The page "Measure cartilage" of the
documentation defines the numbers. A faulty mask is named, all others are measured, and the exit status is then 1. A
call that was interrupted goes on when it is made again.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from nnunet_eas.cli import options

if TYPE_CHECKING:
    from nnunet_eas.morphometry.quantify import Quantification


def add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("masks", type=Path, metavar="MASKS", help="folder of masks, or one mask")
    options.add_labels(parser, "measure", "masks", "beside the masks")
    add("-o", type=Path, required=True, metavar="CSV", help="file for the table")
    add("--maps", type=Path, metavar="DIR", help="also draw maps of thickness, as PNG, in this folder")
    add(
        "--bones",
        nargs="+",
        metavar="CARTILAGE=BONE",
        help="bone that a cartilage lies on, by name or number (default: dataset.json's femoral_cartilage=femur, "
        "tibial_cartilage=tibia, patellar_cartilage=patella)",
    )
    options.add_workers(parser)


def run(args: argparse.Namespace) -> int:
    from nnunet_eas.morphometry.quantify import quantify
    from nnunet_eas.support.files import PARTIAL
    from nnunet_eas.support.outputs import check_output_file

    for pair in args.bones or ():
        if pair.count("=") != 1:
            raise ValueError(f"--bones must be pairs CARTILAGE=BONE, got {pair}. Give for example 2=1.")
    check_output_file(args.o, "-o")
    unfinished = args.o.with_name(f"{PARTIAL}{args.o.name}.jsonl")

    def show(result: Quantification) -> None:
        result.write_csv(args.o)
        unfinished.unlink(missing_ok=True)
        options.say(f"{options.counted(len(result.cases), 'case')} in {args.o}")
        for note in result.notes:
            print(f"warning: {note}", file=sys.stderr)

    bones = dict(pair.split("=") for pair in args.bones) if args.bones else None
    more = {"bones": bones, "unfinished": unfinished, "progress": True}
    return options.finish(quantify, {**options.keywords(args, "o"), **more}, show)
