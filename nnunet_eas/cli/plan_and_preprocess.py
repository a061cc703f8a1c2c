"""Fingerprint, plan and preprocess, all before a training.

Extract fingerprints, plan EAS U-Nets and preprocess, as nnUNetv2_plan_and_preprocess. Where the preprocessed data of
nnUNetPlans are complete and what this plan needs, they are reused unchanged. Train with: nnUNetv2_train ID
CONFIGURATION FOLD -tr EASUNetTrainer -p EASUNetPlans
"""

from __future__ import annotations

import argparse

from nnunet_eas.cli import options


def add_options(parser: argparse.ArgumentParser) -> None:
    options.add_planning(parser)
    add = parser.add_argument
    which = "configurations to preprocess (default: 2d 3d_fullres 3d_lowres)"
    add("-c", nargs="+", metavar="CONFIGURATION", dest="configurations", help=which)
    processes = "processes for preprocessing, one number or one per configuration"
    defaults = "(default: 8 for 2d, 4 for 3d_fullres, 8 for 3d_lowres)"
    add("-np", type=int, nargs="+", metavar="N", dest="num_processes", help=f"{processes} {defaults}")
    fingerprint = "processes for the fingerprint (default: %(default)s)"
    add("-npfp", type=int, default=8, metavar="N", dest="num_processes_fingerprint", help=fingerprint)
    add("--verify_dataset_integrity", action="store_true", help="check the dataset first, once is enough")
    add("--clean", action="store_true", help="extract the fingerprint anew, after a change of the dataset")
    add("--no_pp", action="store_true", dest="no_preprocessing", help="no preprocessing")
    add("--verbose", action="store_true", help="tell more")
    add("--no_pbar", action="store_false", dest="show_progress_bar", help="no progress bar")


def run(args: argparse.Namespace) -> int:
    from nnunet_eas.plans.preprocessing import plan_and_preprocess

    plan_and_preprocess(**options.keywords(args))
    return 0
