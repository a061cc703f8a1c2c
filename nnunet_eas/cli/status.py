"""How far the folds of a dataset are.

A table of the folds: state, finished epochs, seconds an epoch, time left, pseudo Dice of the last epoch, machine, and
last error. It shows the models of one trainer, by default the one that was last at work, with the folds that the split
file has; below the table it names what it leaves out. It reads files only, on any machine that sees them. A training is
known to be running if nnunet-eas crossval started it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from nnunet_eas.cli import options


def add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    options.add_dataset(parser)
    which = "only these (default: all that have begun)"
    add("-c", nargs="+", metavar="CONFIGURATION", dest="configurations", help=which)
    add("-tr", "--trainer", metavar="TRAINER", help="only this trainer's (default: the one that was last at work)")
    add("-p", metavar="PLANS", dest="plans", help="only these plans' (default: all)")
    every = "all trainers, and folds that the split file does not have"
    add("--all", action="store_true", dest="everything", help=every)
    add("--png", type=Path, metavar="FILE", help="draw the folds' training curves over each other")


def run(args: argparse.Namespace) -> int:
    from nnunet_eas.crossval.dataset import find_dataset
    from nnunet_eas.crossval.status import statuses_of, table

    statuses, left_out = statuses_of(find_dataset(args.dataset), **options.keywords(args, "dataset", "png"))
    print("\n".join([table(statuses), *left_out]))
    if args.png is not None:
        from nnunet_eas.crossval.curves import draw

        draw(statuses, args.png)
        print(f"curves in {args.png}")
    return 0
