"""`nnunet-eas plan_and_preprocess`: nnUNetv2_plan_and_preprocess with EASUNetPlanner."""

from __future__ import annotations

import argparse

from nnunet_eas.cli.plan_experiment import add_plan_flags, existing, plan

DEFAULT_CONFIGURATIONS = ("2d", "3d_fullres", "3d_lowres")


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser(
        "plan_and_preprocess",
        help="fingerprint, plan and preprocess, all before a training",
        description="Extract fingerprints, plan EAS U-Nets and preprocess, as nnUNetv2_plan_and_preprocess. Where "
        "the preprocessed data of nnUNetPlans are complete and what this plan needs, they are used as they lie. "
        "Train with: nnUNetv2_train ID CONFIGURATION FOLD -tr EASUNetTrainer -p EASUNetPlans",
    )
    add_plan_flags(parser)
    parser.add_argument(
        "-c", nargs="+", metavar="CONFIGURATION", help="configurations to preprocess (default: 2d 3d_fullres 3d_lowres)"
    )
    parser.add_argument(
        "-np",
        type=int,
        nargs="+",
        metavar="N",
        help="processes for preprocessing, one number or one per configuration (default: 8 for 2d, 4 for "
        "3d_fullres, 8 for 3d_lowres)",
    )
    parser.add_argument(
        "-npfp", type=int, default=8, metavar="N", help="processes for the fingerprint (default: %(default)s)"
    )
    parser.add_argument(
        "--verify_dataset_integrity", action="store_true", help="check the dataset first, once is enough"
    )
    parser.add_argument(
        "--clean", action="store_true", help="extract the fingerprint anew, after a change of the dataset"
    )
    parser.add_argument("--no_pp", action="store_true", help="no preprocessing")
    parser.add_argument("--verbose", action="store_true", help="tell more")
    parser.add_argument("--no_pbar", action="store_true", help="no progress bar")


def run(args: argparse.Namespace) -> int:
    """Fingerprint, plan and preprocess every dataset; 0 when all are ready."""
    for flag, numbers in (("-np", args.np or [1]), ("-npfp", [args.npfp])):
        if min(numbers) < 1:
            raise ValueError(f"{flag} must be at least 1, got {min(numbers)}. Give a number of processes.")
    datasets = existing(args.d)

    from nnunet_eas.plans.preprocessing import extract_fingerprint, preprocess

    for dataset_id in datasets:
        print("Fingerprint extraction...")
        extract_fingerprint(
            dataset_id,
            num_processes=args.npfp,
            verify=args.verify_dataset_integrity,
            clean=args.clean,
            verbose=args.verbose,
            show_progress_bar=not args.no_pbar,
        )
        print("Experiment planning...")
        plans = plan(args, dataset_id, args.c or ())
        if not args.no_pp:
            print("Preprocessing...")
            preprocess(
                dataset_id,
                plans,
                configurations=args.c or DEFAULT_CONFIGURATIONS,
                num_processes=args.np,
                verbose=args.verbose,
                show_progress_bar=not args.no_pbar,
            )
    return 0
