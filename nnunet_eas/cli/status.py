"""`nnunet-eas status`: how far the folds of a dataset are."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `status` to the command's parser."""
    parser = subparsers.add_parser(
        "status",
        help="how far the folds of a dataset are",
        description="A table of the folds: state, epochs done, seconds an epoch, time left, pseudo Dice of the last "
        "epoch, where it runs, and what went wrong. It reads files only, on any machine that sees them. A "
        "training is known to be running if nnunet-eas crossval started it.",
    )
    parser.add_argument("-d", required=True, metavar="DATASET", help="dataset's name or id")
    parser.add_argument("-c", nargs="+", metavar="CONFIGURATION", help="only these")
    parser.add_argument("-tr", "--trainer", metavar="TRAINER", help="only this trainer's")
    parser.add_argument("-p", metavar="PLANS", help="only these plans'")
    parser.add_argument("--png", type=Path, metavar="FILE", help="draw the folds' training curves over each other")


def run(args: argparse.Namespace) -> int:
    """Print the table; 0."""
    from nnunetv2.paths import nnUNet_results
    from nnunetv2.utilities.dataset_name_id_conversion import maybe_convert_to_dataset_name

    from nnunet_eas.crossval.dataset import FOLDS_OF_NNUNET
    from nnunet_eas.crossval.fold import Fold
    from nnunet_eas.crossval.status import models_of, status_of, table

    if not nnUNet_results.is_set():
        raise RuntimeError("nnUNet_results must be set to a folder, got nothing. Run nnunet-eas doctor.")
    results = Path(str(nnUNet_results))
    dataset = maybe_convert_to_dataset_name(args.d)
    models = [
        (trainer, plans, configuration)
        for trainer, plans, configuration in models_of(results / dataset)
        if args.trainer in (None, trainer) and args.p in (None, plans) and (not args.c or configuration in args.c)
    ]
    if not models:
        raise FileNotFoundError(f"-d must be a dataset with trainings, got none in {results / dataset}. Train first.")
    statuses = []
    for trainer, plans, configuration in models:
        model = results / dataset / f"{trainer}__{plans}__{configuration}"
        begun = {int(p.name[5:]) for p in model.glob("fold_*") if p.name[5:].isdecimal()}
        for number in sorted(begun | set(range(FOLDS_OF_NNUNET))):
            statuses.append(status_of(Fold(dataset, configuration, trainer, plans, number, results)))
    print(table(statuses))
    if args.png is not None:
        from nnunet_eas.crossval.curves import draw

        draw(statuses, args.png)
        print(f"curves in {args.png}")
    return 0
