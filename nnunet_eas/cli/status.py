"""`nnunet-eas status`: how far the folds of a dataset are."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `status` to the command's parser."""
    parser = subparsers.add_parser(
        "status",
        help="how far the folds of a dataset are",
        description="A table of the folds: state, finished epochs, seconds an epoch, time left, pseudo Dice of the "
        "last epoch, machine, and last error. It shows the models of one trainer, by default the one that was last at "
        "work, with the folds that the split file has; below the table it names what it leaves out. It reads files "
        "only, on any machine that sees them. A training is known to be running if nnunet-eas crossval started it.",
    )
    parser.add_argument("-d", required=True, metavar="DATASET", help="dataset's name or id")
    parser.add_argument("-c", nargs="+", metavar="CONFIGURATION", help="only these (default: all that have begun)")
    parser.add_argument(
        "-tr", "--trainer", metavar="TRAINER", help="only this trainer's (default: the one that was last at work)"
    )
    parser.add_argument("-p", metavar="PLANS", help="only these plans' (default: all)")
    parser.add_argument("--all", action="store_true", help="all trainers, and folds that the split file does not have")
    parser.add_argument("--png", type=Path, metavar="FILE", help="draw the folds' training curves over each other")


def run(args: argparse.Namespace) -> int:
    """Print the table; 0."""
    from nnunet_eas.crossval.dataset import find_dataset
    from nnunet_eas.crossval.status import statuses_of, table

    statuses, left_out = statuses_of(
        find_dataset(args.d), configurations=args.c, trainer=args.trainer, plans=args.p, everything=args.all
    )
    print("\n".join([table(statuses), *left_out]))
    if args.png is not None:
        from nnunet_eas.crossval.curves import draw

        draw(statuses, args.png)
        print(f"curves in {args.png}")
    return 0
