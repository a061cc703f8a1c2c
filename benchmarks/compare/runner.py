r"""Trains and scores what is missing of datasets x networks x folds x seeds, with nnU-Net's own commands.

    python -m benchmarks.compare.runner --datasets .../Dataset004_Hippocampus --work DIR --results DIR \
        --preset rivals --configurations 2d --folds 0 1 2 3 4 --seeds 0 --epochs 20 --iterations 20

All trainings have the same number of iterations, or with --seconds the same time, and the same batch. Every seed, and
every version of code, data or schedule, has its own results folder. An interrupted runner continues where it was when
it is started again, and never repeats a finished training. Several runners may share --work and --results; each leaves
alone what another one has begun.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import queue
import statistics
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import environment
from benchmarks.commands import folder_variables, trainer_variables
from benchmarks.compare import presets, result_files
from benchmarks.compare.networks import NETWORKS
from benchmarks.compare.prepared_dataset import PreparedDataset, sizes_of
from nnunet_eas.support.locks import Busy, locked
from nnunet_eas.support.nnunet_commands import last_line, run_command

IN_USE = "in use"
TRAIN = "nnUNetv2_train"


@dataclass(frozen=True)
class Run:
    """One training."""

    prepared: PreparedDataset
    recipe: dict[str, Any]

    @property
    def title(self) -> str:
        """The training as messages name it."""
        r = self.recipe
        return f"{r['dataset']}, {r['configuration']}, {r['arm']}, seed {r['seed']}, fold {r['fold']}"

    @property
    def results(self) -> str:
        """The results folder of this network, seed, schedule and version, below the dataset's work folder."""
        r = self.recipe
        common = result_files.key(r, without=("fold",))
        return f"results/{r['configuration']}_{r['arm']}_seed{r['seed']}_{common}"

    @property
    def folder(self) -> Path:
        """The folder of the trained fold."""
        r = self.recipe
        model = f"{r['trainer']}_short__{r['arm']}__{r['configuration']}"
        return self.prepared.work / self.results / r["dataset"] / model / f"fold_{r['fold']}"

    def file(self, suffix: str) -> Path:
        """A file of this run beside its model."""
        return self.prepared.work / self.results / f"fold_{self.recipe['fold']}{suffix}"

    def log(self, program: str) -> Path:
        """The output of a program; each command stands above its output."""
        return self.file(f"_{program}.txt")


def main() -> int:
    """Runs what is missing; the exit status is 1 where something failed."""
    args = parse()
    schedule = {"epochs": args.epochs, "iterations": args.iterations, "val_iterations": args.val_iterations}
    if args.seconds:
        schedule = {**schedule, "iterations": None, "seconds": args.seconds}
    if args.no_mirroring:
        schedule["mirroring"] = False
    runs = [run for dataset in args.datasets for run in runs_of(dataset, schedule, args)]
    missing = [run for run in runs if not is_done(run, args.results)]
    print(f"{len(runs)} trainings, {len(missing)} of them missing", flush=True)

    places: queue.Queue[str | None] = queue.Queue()
    for place in args.gpus or [None] * args.jobs:
        places.put(place)
    failed, in_use = [], []
    with ThreadPoolExecutor(places.qsize()) as pool:
        jobs = {pool.submit(run_one, run, places, args): run for run in missing}
        for number, job in enumerate(as_completed(jobs), 1):
            run = jobs[job]
            try:
                outcome = job.result()
            except (RuntimeError, OSError, ValueError, LookupError, TypeError) as error:
                failed.append(run)
                outcome = f"FAILED: {error}"
            in_use += [run] if outcome == IN_USE else []
            print(f"{number} of {len(missing)}: {run.title}: {outcome}", flush=True)
    for run in in_use:
        print(f"left to another runner: {run.title}")
    for run in failed:
        print(f"failed: {run.title}", file=sys.stderr)
    return 1 if failed else 0


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--datasets", type=Path, nargs="+", required=True, help="DatasetXXX_NAME, nnU-Net's raw layout")
    parser.add_argument("--work", type=Path, required=True, help="folder for nnU-Net's folders of every dataset")
    parser.add_argument("--results", type=Path, required=True, help="folder for one JSON per training")
    presets.add_arguments(parser)
    parser.add_argument("--configurations", nargs="+", default=["2d"])
    parser.add_argument("--folds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--epochs", type=int, default=1000)
    parser.add_argument("--iterations", type=int, default=250, help="per epoch")
    parser.add_argument("--val-iterations", type=int, default=5, help="per epoch, for the curves")
    parser.add_argument("--seconds", type=float, help="seconds of each training, instead of equal iterations")
    parser.add_argument("--no-mirroring", action="store_true", help="validate without mirrored copies, for first looks")
    parser.add_argument("--batch", nargs="*", default=[], help="CONFIGURATION=SIZE, if not the default plan's")
    parser.add_argument("--patch", nargs="*", default=[], help="CONFIGURATION=EDGExEDGE..., if not each plan's own")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu", "mps"))
    parser.add_argument("--gpus", nargs="+", help="GPU numbers; one training at a time on each")
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time, without --gpus")
    parser.add_argument("--threads", type=int, default=1, help="PyTorch's threads of each training on a CPU")
    parser.add_argument("--loaders", type=int, help="loading processes of each training (default: none on a CPU)")
    args = parser.parse_args()
    args.networks = presets.networks_of(args)
    return args


def runs_of(dataset: Path, schedule: dict[str, Any], args: argparse.Namespace) -> list[Run]:
    """All runs on one dataset, with seeds and folds outermost, so that what is done first is complete."""
    prepared = PreparedDataset(dataset, args.work, sizes_of(args.configurations, args.batch, args.patch))
    beyond = [fold for fold in args.folds if not 0 <= fold < len(prepared.split)]
    if beyond:
        raise SystemExit(
            f"--folds must be 0 to {len(prepared.split) - 1}, the {len(prepared.split)} folds of {dataset.name}'s "
            f"split, got {beyond}. Leave the others out; nnU-Net would draw a random split for them."
        )
    runs = []
    for seed, fold, configuration, name in itertools.product(
        args.seeds, args.folds, args.configurations, args.networks
    ):
        network = NETWORKS[name]
        recipe = {
            "dataset": dataset.name,
            "data": prepared.data,
            "configuration": configuration,
            "arm": name,
            "trainer": network.trainer,
            "plan": prepared.configuration(name, network, configuration),
            "fold": fold,
            "seed": seed,
            "schedule": schedule,
            "code": network.code(),
        }
        runs.append(Run(prepared, recipe))
    return runs


def is_done(run: Run, results: Path) -> bool:
    """Whether the run has a result; an unreadable one is named, and made again."""
    path = result_files.find(results, run.recipe)
    if path is None:
        return False
    try:
        result_files.read(path)
    except ValueError as error:
        print(f"made again: {error}", file=sys.stderr, flush=True)
        return False
    return True


def run_one(run: Run, places: queue.Queue[str | None], args: argparse.Namespace) -> str:
    """Trains, validates and scores one run, each unless it is done; returns the outcome for the message."""
    place = places.get()
    try:
        # the training inherits the lock, and holds it where the runner is killed and the training lives on
        with locked(run.file(".lock")) as descriptors:
            train(run, place, descriptors, args)
            return score(run, place, descriptors, args)
    except Busy:
        return IN_USE
    finally:
        places.put(place)


def train(run: Run, gpu: str | None, inherit: Sequence[int], args: argparse.Namespace) -> None:
    """Runs nnUNetv2_train; an interrupted training is resumed, a finished one is only validated."""
    if (run.folder / "validation" / "summary.json").is_file():
        return
    r = run.recipe
    network = NETWORKS[r["arm"]]
    if network.code() != r["code"]:
        raise ValueError("sources must stay as they were when the runner started, got others. Start it again.")
    run.prepared.configuration(r["arm"], network, r["configuration"])
    model = [r["dataset"], r["configuration"], str(r["fold"]), "-tr", f"{r['trainer']}_short", "-p", r["arm"]]
    command = [TRAIN, *model, "-device", args.device]
    if (run.folder / "checkpoint_final.pth").is_file():
        command.append("--val")
    elif any((run.folder / f"checkpoint_{which}.pth").is_file() for which in ("latest", "best")):
        command.append("--c")
    call(run, command, gpu, inherit, args)


def score(run: Run, gpu: str | None, inherit: Sequence[int], args: argparse.Namespace) -> str:
    """Scores the validation masks and writes the result's file; returns a line for the message."""
    trained = json.loads((run.folder.parent / "plans.json").read_text())["configurations"][run.recipe["configuration"]]
    if any(trained[name] != run.recipe["plan"][name] for name in ("batch_size", "patch_size")):
        raise ValueError(
            f"--work must not be shared by runners with other sizes at a time, got {run.folder} trained from another "
            "plan. Remove it and run again."
        )
    scores = run.folder / "scores.json"
    dataset_json = run.prepared.dataset / "dataset.json"
    masks = ["-pred", str(run.folder / "validation"), "-ref", str(link_references(run))]
    command = ["nnunet-eas", "evaluate", *masks, "-djfile", str(dataset_json), "-o", str(scores), "--workers", "1"]
    call(run, command, gpu, inherit, args)
    content = json.loads(scores.read_text())
    epochs = json.loads((run.folder / "epochs.json").read_text())
    steps = statistics.median(epoch["step_seconds_median"] for epoch in epochs)
    result = {
        "recipe": run.recipe,
        "key": result_files.key(run.recipe),
        "planned": run.prepared.planned(NETWORKS[run.recipe["arm"]], run.recipe["configuration"]),
        "device": args.device,
        "trainings_at_a_time": len(args.gpus or []) or args.jobs,
        "threads": args.threads,
        "resumed": was_resumed(run),
        "step_seconds_median": steps,
        "epochs": epochs,
        "tolerance_mm": content["tolerance_mm"],
        "definitions": content["definitions"],
        "environment": environment.describe(),
        "per_case": content["per_case"],
    }
    result_files.write(args.results, result)
    dice = content["mean"]["foreground"]["dice"]
    return f"Dice {dice:.4f}, {sum(e['iterations'] for e in epochs)} iterations, {steps:.3f} s a step"


def was_resumed(run: Run) -> bool:
    """Whether the training was interrupted and resumed, and so saw other samples from there on."""
    commands = [line.removeprefix("$ ").split() for line in run.log(TRAIN).read_text(errors="replace").splitlines()]
    return any(command[:1] == [TRAIN] and "--c" in command for command in commands)


def link_references(run: Run) -> Path:
    """A folder with links to the references of this fold alone."""
    folder = run.folder / "references"
    folder.mkdir(exist_ok=True)
    ending = json.loads((run.prepared.dataset / "dataset.json").read_text())["file_ending"]
    for case in run.prepared.split[run.recipe["fold"]]["val"]:
        link = folder / f"{case}{ending}"
        if not link.exists():
            link.symlink_to((run.prepared.references / link.name).resolve())
    return folder


def call(run: Run, command: list[str], gpu: str | None, inherit: Sequence[int], args: argparse.Namespace) -> None:
    """Runs one command on the run's folders and with its schedule; the output goes to its log."""
    schedule = run.recipe["schedule"]
    variables: dict[str, Any] = {
        **folder_variables(run.prepared.work, run.results),
        **trainer_variables(),
        "nnUNet_def_n_proc": 1,
        "BENCHMARK_EPOCHS": schedule["epochs"],
        "BENCHMARK_ITERATIONS": schedule["iterations"] or 1,
        "BENCHMARK_VAL_ITERATIONS": schedule["val_iterations"],
        "BENCHMARK_SEED": run.recipe["seed"],
    }
    if schedule.get("seconds"):
        variables["BENCHMARK_SECONDS"] = schedule["seconds"]
    if not schedule.get("mirroring", True):
        variables["BENCHMARK_NO_MIRRORING"] = 1
    if args.device == "cpu":
        variables |= {"BENCHMARK_THREADS": args.threads, "OMP_NUM_THREADS": args.threads, "nnUNet_n_proc_DA": 0}
    if args.loaders is not None:
        variables["nnUNet_n_proc_DA"] = args.loaders
    if gpu is not None:
        variables["CUDA_VISIBLE_DEVICES"] = gpu
    log = run.log(command[0])
    full = {**os.environ, **{name: str(value) for name, value in variables.items()}}
    status = run_command(command, log, environment=full, inherit=inherit)
    if status:
        raise RuntimeError(f"{command[0]} ended with {status} ({last_line(log)}), see {log}")


if __name__ == "__main__":
    raise SystemExit(main())
