"""Plan EAS U-Nets for a dataset and a GPU.

Plan EAS U-Nets for datasets that have a fingerprint, as nnUNetv2_plan_experiment does for its own networks. Train with:
nnUNetv2_train ID CONFIGURATION FOLD -tr EASUNetTrainer -p EASUNetPlans
"""

from __future__ import annotations

import argparse

from nnunet_eas.cli import options


def add_options(parser: argparse.ArgumentParser) -> None:
    options.add_planning(parser)


def run(args: argparse.Namespace) -> int:
    from nnunet_eas.plans.preprocessing import check_datasets, plan_experiment

    check_datasets(*args.dataset_ids)  # all of them before the first one is planned
    for dataset_id in args.dataset_ids:
        plan_experiment(dataset_id, **options.keywords(args, "dataset_ids"))
    return 0
