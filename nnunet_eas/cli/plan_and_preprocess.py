"""`nnunet-eas plan_and_preprocess`: nnUNetv2_plan_and_preprocess with EASUNetPlanner."""

from __future__ import annotations

import argparse


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Adds the command to the parser."""
    parser = subparsers.add_parser(
        "plan_and_preprocess",
        help="fingerprint, plan and preprocess, all before a training",
        description="Extract fingerprints, plan EAS U-Nets and preprocess, as nnUNetv2_plan_and_preprocess. Where "
        "the preprocessed data of nnUNetPlans are complete and what this plan needs, they are reused unchanged. "
        "Train with: nnUNetv2_train ID CONFIGURATION FOLD -tr EASUNetTrainer -p EASUNetPlans",
    )
    # the flags of plan_experiment
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
    # its own
    which = "configurations to preprocess (default: 2d 3d_fullres 3d_lowres)"
    add("-c", nargs="+", metavar="CONFIGURATION", help=which)
    processes = "processes for preprocessing, one number or one per configuration"
    defaults = "(default: 8 for 2d, 4 for 3d_fullres, 8 for 3d_lowres)"
    add("-np", type=int, nargs="+", metavar="N", help=f"{processes} {defaults}")
    add("-npfp", type=int, default=8, metavar="N", help="processes for the fingerprint (default: %(default)s)")
    add("--verify_dataset_integrity", action="store_true", help="check the dataset first, once is enough")
    add("--clean", action="store_true", help="extract the fingerprint anew, after a change of the dataset")
    add("--no_pp", action="store_true", help="no preprocessing")
    add("--verbose", action="store_true", help="tell more")
    add("--no_pbar", action="store_true", help="no progress bar")


def run(args: argparse.Namespace) -> int:
    """Fingerprints, plans and preprocesses every dataset; 0 when all are ready."""
    from nnunet_eas.plans.preprocessing import plan_and_preprocess

    plan_and_preprocess(
        args.d,
        gpu_memory_target_in_gb=args.gpu_memory_target,
        preprocessor_name=args.preprocessor_name,
        overwrite_target_spacing=args.overwrite_target_spacing,
        plans_name=args.overwrite_plans_name,
        configurations=args.c,
        num_processes=args.np,
        num_processes_fingerprint=args.npfp,
        verify_dataset_integrity=args.verify_dataset_integrity,
        clean=args.clean,
        no_preprocessing=args.no_pp,
        verbose=args.verbose,
        show_progress_bar=not args.no_pbar,
    )
    return 0
