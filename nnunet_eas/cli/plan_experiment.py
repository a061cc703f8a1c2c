"""`nnunet-eas plan_experiment`: nnUNetv2_plan_experiment with EASUNetPlanner."""

from __future__ import annotations

import argparse


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Adds the command to the parser."""
    parser = subparsers.add_parser(
        "plan_experiment",
        help="plan EAS U-Nets for a dataset and a GPU",
        description="Plan EAS U-Nets for datasets that have a fingerprint, as nnUNetv2_plan_experiment does for its "
        "own networks. Train with: nnUNetv2_train ID CONFIGURATION FOLD -tr EASUNetTrainer -p EASUNetPlans",
    )
    # the flags of plan_and_preprocess for the plan
    add = parser.add_argument
    add("-d", type=int, nargs="+", required=True, metavar="ID", help="ids of the datasets, e.g. 4")
    memory = "memory that a training may take, in GB; decides patch and batch (default: %(default)s)"
    add("-gpu_memory_target", type=float, default=8, metavar="GB", help=memory)
    preprocessor = "nnU-Net's preprocessor (default: %(default)s)"
    add("-preprocessor_name", default="DefaultPreprocessor", metavar="CLASS", help=preprocessor)
    spacing = "spacing of 3d_fullres, in the images' axis order z y x (default: the dataset's)"
    add("-overwrite_target_spacing", type=float, nargs=3, metavar="MM", help=spacing)
    name = "name of the plans file, for -p (default: %(default)s)"
    add("-overwrite_plans_name", default="EASUNetPlans", metavar="NAME", help=name)


def run(args: argparse.Namespace) -> int:
    """Plans every dataset; 0 when all are planned."""
    from nnunet_eas.plans.preprocessing import dataset_name, plan_experiment

    for dataset_id in args.d:  # all of them before the first one is planned
        dataset_name(dataset_id)
    for dataset_id in args.d:
        plan_experiment(
            dataset_id,
            gpu_memory_target_in_gb=args.gpu_memory_target,
            preprocessor_name=args.preprocessor_name,
            overwrite_target_spacing=args.overwrite_target_spacing,
            plans_name=args.overwrite_plans_name,
        )
    return 0
