"""Train all folds and find the best configuration.

Train every fold of the configurations with nnUNetv2_train, on this machine's devices or on a Slurm cluster; then let
nnU-Net find the best configuration or ensemble and its postprocessing. Trained folds are not trained again, and
interrupted ones are resumed: run the same command again after any interruption. A fold that fails too often is named,
the others are trained, and the exit status is then 1.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnunet_eas.cli import options
from nnunet_eas.support.device import choose_device

if TYPE_CHECKING:
    from nnunet_eas.crossval.executors import Executor


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "nnunet-eas status -d DATASET shows how far the folds are; nnunet-eas predict-best predicts."
    options.add_dataset(parser)
    add = parser.add_argument
    add("-c", nargs="+", required=True, metavar="CONFIGURATION", dest="configurations", help="2d, 3d_fullres, ...")
    options.add_plans_and_trainer(parser, "-tr", "--trainer")
    add("--folds", type=int, nargs="+", metavar="FOLD", help="(default: all of the split file)")
    options.add_device(parser)
    add("--retries", type=int, default=2, help="of a fold that fails (default: %(default)s)")
    add("--executor", choices=("local", "slurm"), default="local", help="(default: %(default)s)")
    local = parser.add_argument_group("on this machine")
    on_each = "a training on each, numbers as in nvidia-smi (default: all free ones)"
    local.add_argument("--gpus", type=int, nargs="+", metavar="N", help=on_each)
    at_a_time = "trainings at a time without GPUs, each with its share of the cores (default: %(default)s)"
    local.add_argument("--workers", type=int, default=1, help=at_a_time)
    add = parser.add_argument_group("on a Slurm cluster: one job a fold").add_argument
    add("--partition", help="(default: the cluster's)")
    add("--time", type=int, default=24 * 60, metavar="MINUTES", help="of a job (default: %(default)s)")
    add("--mem", metavar="SIZE", help="of a job, as 32GB (default: the cluster's)")
    add("--cpus", type=int, default=None, help="of a job (default: nnU-Net's loading processes and one)")
    add("--grace", type=int, default=120, metavar="S", help="seconds to save itself (default: %(default)s)")
    add("--slurm", nargs="+", default=[], metavar="KEY=VALUE", help="any other option of sbatch")


def run(args: argparse.Namespace) -> int:
    if args.retries < 0:
        raise ValueError(f"--retries must be at least 0, got {args.retries}. 0 tries each fold once.")
    if args.workers < 1:
        raise ValueError(f"--workers must be at least 1, got {args.workers}. Give a number of trainings.")
    if args.device == "auto":  # the login node of a cluster need not have the GPU of its jobs
        args.device = "cuda" if args.executor == "slurm" or args.gpus else choose_device("auto")
    if args.device == "mps" and args.workers > 1:
        raise ValueError(f"--workers must be 1 on mps, where trainings at the same time crash, got {args.workers}.")
    from nnunet_eas.crossval.cross_validate import cross_validate
    from nnunet_eas.crossval.dataset import find_dataset
    from nnunet_eas.support.errors import PartialSuccess

    dataset = find_dataset(args.dataset, needs_preprocessed=True)
    try:
        best = cross_validate(
            dataset,
            args.configurations,
            lambda: _executor(args, dataset.results / "crossval_jobs"),
            trainer=args.trainer,
            plans=args.plans,
            folds=args.folds,
            device=args.device,
            attempts=args.retries + 1,
            say=options.say,
        )
    except PartialSuccess as partial:
        for fold, error in partial.faults.items():
            print(f"failed {fold}: {error}", file=sys.stderr)
        raise
    chosen = " and ".join(model.configuration for model in best.models)
    print(f"best: {chosen}, mean Dice {best.dice:.4f} on the validation cases")
    print(f"predict with: nnunet-eas predict-best -d {args.dataset} -i SCANS -o MASKS")
    return 0


def _executor(args: argparse.Namespace, folder: Path) -> Executor:
    from nnunet_eas.crossval.devices import free_gpus, gpus_of
    from nnunet_eas.crossval.executors import LocalExecutor, SlurmExecutor

    if args.executor == "local":
        if args.device == "cuda":
            return LocalExecutor(folder, gpus_of(args.gpus) if args.gpus else free_gpus())
        return LocalExecutor(folder, [None] * args.workers)
    wrong = [option for option in args.slurm if "=" not in option]
    if wrong:
        raise ValueError(f"--slurm must be KEY=VALUE, got {wrong}. Write e.g. account=knee.")
    parameters: dict[str, Any] = {
        "job_name": f"crossval_{args.dataset}",
        "time": args.time,
        "signal_delay_s": args.grace,
        "cpus_per_task": args.cpus or int(os.environ.get("nnUNet_n_proc_DA", "12")) + 1,
        "additional_parameters": dict(option.split("=", 1) for option in args.slurm),
    }
    parameters |= {key: value for key, value in (("partition", args.partition), ("mem", args.mem)) if value}
    if args.device == "cuda":
        parameters["gpus_per_node"] = 1
    return SlurmExecutor(folder, parameters)
