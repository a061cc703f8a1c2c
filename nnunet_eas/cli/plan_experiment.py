"""`nnunet-eas plan_experiment`: nnUNetv2_plan_experiment with EASUNetPlanner."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser(
        "plan_experiment",
        help="plan EAS U-Nets for a dataset and a GPU",
        description="Plan EAS U-Nets for datasets that have a fingerprint, as nnUNetv2_plan_experiment does for its "
        "own networks. Train with: nnUNetv2_train ID CONFIGURATION FOLD -tr EASUNetTrainer -p EASUNetPlans",
    )
    add_plan_flags(parser)


def run(args: argparse.Namespace) -> int:
    """Plan every dataset; 0 when all have been planned."""
    for dataset_id in existing(args.d):
        plan(args, dataset_id)
    return 0


def add_plan_flags(parser: argparse.ArgumentParser) -> None:
    """The flags that decide a plan, nnU-Net's own."""
    parser.add_argument("-d", type=int, nargs="+", required=True, metavar="ID", help="ids of the datasets, e.g. 4")
    parser.add_argument(
        "-gpu_memory_target",
        type=float,
        default=8,
        metavar="GB",
        help="memory that a training may take, in GB; decides patch and batch (default: %(default)s)",
    )
    parser.add_argument(
        "-preprocessor_name",
        default="DefaultPreprocessor",
        metavar="CLASS",
        help="nnU-Net's preprocessor (default: %(default)s)",
    )
    parser.add_argument(
        "-overwrite_target_spacing",
        type=float,
        nargs=3,
        metavar="MM",
        help="spacing of 3d_fullres, in the images' axis order z y x (default: the dataset's)",
    )
    parser.add_argument(
        "-overwrite_plans_name",
        default="EASUNetPlans",
        metavar="NAME",
        help="name of the plans file, for -p (default: %(default)s)",
    )


def existing(dataset_ids: list[int]) -> list[int]:
    """The ids, after a look that each has a dataset."""
    from nnunet_eas.plans.preprocessing import dataset_name

    for dataset_id in dataset_ids:  # all of them before the first one is planned
        dataset_name(dataset_id)
    return dataset_ids


def plan(args: argparse.Namespace, dataset_id: int, configurations: Sequence[str] = ()) -> dict[str, Any]:
    """Plan one dataset as the flags say."""
    from nnunet_eas.plans.preprocessing import plan_experiment

    return plan_experiment(
        dataset_id,
        gpu_memory_target_in_gb=args.gpu_memory_target,
        preprocessor_name=args.preprocessor_name,
        overwrite_target_spacing=args.overwrite_target_spacing,
        plans_name=args.overwrite_plans_name,
        configurations=configurations,
    )
