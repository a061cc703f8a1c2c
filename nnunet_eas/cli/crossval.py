"""`nnunet-eas crossval`: all folds of several configurations, then the best of them, in one command."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nnunet_eas.crossval.executors import Executor


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `crossval` to the command's parser."""
    parser = subparsers.add_parser(
        "crossval",
        help="train all folds and find the best configuration",
        description="Train every fold of the configurations with nnUNetv2_train, on this machine's devices or on a "
        "Slurm cluster; then let nnU-Net find the best configuration or ensemble and its postprocessing. What is "
        "trained is not trained again and what was cut goes on: run the same command again after any interruption. A "
        "fold that fails too often is named, the others are trained, and the exit status is then 1.",
        epilog="nnunet-eas status -d DATASET shows how far the folds are; nnunet-eas predict-best predicts.",
    )
    parser.add_argument("-d", required=True, metavar="DATASET", help="dataset's name or id")
    parser.add_argument("-c", nargs="+", required=True, metavar="CONFIGURATION", help="2d, 3d_fullres, ...")
    parser.add_argument(
        "-tr", "--trainer", default="EASUNetTrainer", metavar="TRAINER", help="trainer (default: %(default)s)"
    )
    parser.add_argument("-p", default="nnUNetPlans", metavar="PLANS", help="plans (default: %(default)s)")
    parser.add_argument("--folds", type=int, nargs="+", metavar="FOLD", help="(default: all of the split file)")
    parser.add_argument("-device", choices=("cuda", "cpu", "mps"), default="cuda", help="(default: %(default)s)")
    parser.add_argument("--retries", type=int, default=2, help="of a fold that fails (default: %(default)s)")
    parser.add_argument("--executor", choices=("local", "slurm"), default="local", help="(default: %(default)s)")
    local = parser.add_argument_group("on this machine")
    local.add_argument("--gpus", type=int, nargs="+", metavar="N", help="a training on each (default: all free ones)")
    local.add_argument("--workers", type=int, default=1, help="trainings at a time without GPUs (default: %(default)s)")
    slurm = parser.add_argument_group("on a Slurm cluster: one job a fold")
    slurm.add_argument("--partition", help="(default: the cluster's)")
    slurm.add_argument("--time", type=int, default=24 * 60, metavar="MINUTES", help="of a job (default: %(default)s)")
    slurm.add_argument("--mem", metavar="SIZE", help="of a job, as 32GB (default: the cluster's)")
    slurm.add_argument("--cpus", type=int, default=None, help="of a job (default: nnU-Net's loading processes and one)")
    slurm.add_argument(
        "--grace", type=int, default=120, metavar="S", help="seconds to save itself (default: %(default)s)"
    )
    slurm.add_argument("--slurm", nargs="+", default=[], metavar="KEY=VALUE", help="any other option of sbatch")


def run(args: argparse.Namespace) -> int:
    """Train, find the best; 0. Where folds failed it ends in a RuntimeError once the others are trained."""
    if args.retries < 0:
        raise ValueError(f"--retries must be at least 0, got {args.retries}. 0 tries each fold once.")
    if args.workers < 1:
        raise ValueError(f"--workers must be at least 1, got {args.workers}. Give a number of trainings.")
    from nnunetv2.paths import nnUNet_preprocessed, nnUNet_results
    from nnunetv2.utilities.dataset_name_id_conversion import maybe_convert_to_dataset_name

    from nnunet_eas.crossval.best import find_best
    from nnunet_eas.crossval.dataset import folds_of, stages_of
    from nnunet_eas.crossval.fold import Fold
    from nnunet_eas.crossval.train_all import train_all
    from nnunet_eas.crossval.training import Training

    for variable in (nnUNet_preprocessed, nnUNet_results):
        if not variable.is_set():
            raise RuntimeError(f"{variable.env_var_name} must be set to a folder, got nothing. Run nnunet-eas doctor.")
    dataset = maybe_convert_to_dataset_name(args.d)
    preprocessed, results = Path(str(nnUNet_preprocessed)) / dataset, Path(str(nnUNet_results))
    stages = stages_of(preprocessed, args.p, args.c)
    folds = folds_of(preprocessed, args.folds)
    configurations = [name for stage in stages for name in stage]
    executor = _executor(args, results / dataset / "crossval_jobs")
    failed: dict[Fold, str] = {}
    for stage in stages:
        trainings = [
            Training(Fold(dataset, name, args.trainer, args.p, number, results), args.device, len(configurations) > 1)
            for name in stage
            for number in folds
        ]
        done = sum(training.is_done() for training in trainings)
        _say(f"{len(trainings)} trainings of {' and '.join(stage)}, {done} of them done")
        failed = train_all(trainings, executor, args.retries + 1, _say)
        if failed:
            break
    for fold, error in failed.items():
        print(f"failed {fold}: {error}", file=sys.stderr)
    if failed:
        raise RuntimeError(
            f"all folds must be trained before the best configuration is found, got {len(failed)} that failed: "
            f"{', '.join(map(str, failed))}. Mend what is said above and run the same command again."
        )
    best = find_best([Fold(dataset, name, args.trainer, args.p, k, results) for name in configurations for k in folds])
    chosen = " and ".join(model.configuration for model in best.models)
    _say(f"best: {chosen}, mean Dice {best.dice:.4f} on the validation cases")
    _say(f"predict with: nnunet-eas predict-best -d {args.d} -i SCANS -o MASKS")
    return 0


def _executor(args: argparse.Namespace, folder: Path) -> Executor:
    from nnunet_eas.crossval.devices import free_gpus
    from nnunet_eas.crossval.executors import LocalExecutor, SlurmExecutor

    if args.executor == "local":
        gpus: list[int | None] = [None] * args.workers
        if args.device == "cuda":
            gpus = [*(args.gpus or free_gpus())]
        return LocalExecutor(folder, gpus)
    wrong = [option for option in args.slurm if "=" not in option]
    if wrong:
        raise ValueError(f"--slurm must be KEY=VALUE, got {wrong}. Write e.g. account=knee.")
    parameters: dict[str, Any] = {
        "job_name": f"crossval_{args.d}",
        "time": args.time,
        "signal_delay_s": args.grace,
        "cpus_per_task": args.cpus or int(os.environ.get("nnUNet_n_proc_DA", "12")) + 1,
        "additional_parameters": dict(option.split("=", 1) for option in args.slurm),
    }
    parameters |= {key: value for key, value in (("partition", args.partition), ("mem", args.mem)) if value}
    if args.device == "cuda":
        parameters["gpus_per_node"] = 1
    return SlurmExecutor(folder, parameters)


def _say(line: str) -> None:
    print(line, flush=True)
