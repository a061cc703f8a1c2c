r"""Trains and scores whatever is missing of datasets x networks x folds x seeds, through nnU-Net's own commands.

    python benchmarks/runner.py --datasets .../Dataset004_Hippocampus --work DIR --results DIR \
        --configurations 2d --networks default eas unet --folds 0 1 2 3 4 --seeds 0 --epochs 20 --iterations 25

Every training has the same number of iterations, or with --seconds the same time, and the same batch. Seeds have a
results folder each, and so has every other version of code, data or schedule: nothing is mixed. Killed and started
again it goes on where it was; a finished training is never repeated. Several runners may share --work and --results;
what one of them has begun the others leave alone.
"""

from __future__ import annotations

import argparse
import fcntl
import itertools
import json
import os
import queue
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import environment
import results_files
from arms import ARMS, NETWORKS, TRAINERS
from host_commands import with_trainers
from prepared import Prepared, sizes_of

IN_USE = "in use"
FOLDS_SHARE = ("fold",)
"""Of a recipe: what may differ within one trained model's folder."""


@dataclass(frozen=True)
class Run:
    """One training."""

    prepared: Prepared
    recipe: dict[str, Any]

    @property
    def title(self) -> str:
        """For the eye."""
        r = self.recipe
        return f"{r['dataset']}, {r['configuration']}, {r['arm']}, seed {r['seed']}, fold {r['fold']}"

    @property
    def results(self) -> str:
        """The results folder of this arm, seed, schedule and version; below the dataset's work folder."""
        r = self.recipe
        common = results_files.key(r, without=FOLDS_SHARE)
        return f"results/{r['configuration']}_{r['arm']}_seed{r['seed']}_{common}"

    @property
    def folder(self) -> Path:
        """Of the trained fold."""
        r = self.recipe
        model = f"{r['trainer']}_short__{r['arm']}__{r['configuration']}"
        return self.prepared.work / self.results / r["dataset"] / model / f"fold_{r['fold']}"


def main() -> int:
    """Runs what is missing; 1 where something failed."""
    args = parse()
    schedule = {"epochs": args.epochs, "iterations": args.iterations, "val_iterations": args.val_iterations}
    if args.seconds:
        schedule = {**schedule, "iterations": None, "seconds": args.seconds}
    runs = [run for dataset in args.datasets for run in runs_of(dataset, schedule, args)]
    missing = [run for run in runs if not is_there(run, args.results)]
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
                said = job.result()
            except (RuntimeError, OSError, ValueError, LookupError, TypeError) as error:
                failed.append(run)
                said = f"FAILED: {error}"
            in_use += [run] if said == IN_USE else []
            print(f"{number} of {len(missing)}: {run.title}: {said}", flush=True)
    for run in in_use:
        print(f"left to another runner: {run.title}")
    for run in failed:
        print(f"failed: {run.title}", file=sys.stderr)
    return 1 if failed else 0


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--datasets", type=Path, nargs="+", required=True, help="DatasetXXX_NAME, nnU-Net's raw layout")
    parser.add_argument(
        "--work", type=Path, required=True, help="folder for nnU-Net's folders, one below for a dataset"
    )
    parser.add_argument("--results", type=Path, required=True, help="folder for one JSON per training")
    parser.add_argument("--configurations", nargs="+", default=["2d"])
    parser.add_argument(
        "--networks", nargs="+", default=list(NETWORKS), choices=ARMS, metavar="NAME", help=", ".join(ARMS)
    )
    parser.add_argument("--folds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--epochs", type=int, default=1000)
    parser.add_argument("--iterations", type=int, default=250, help="an epoch")
    parser.add_argument("--val-iterations", type=int, default=5, help="an epoch, for the curves")
    parser.add_argument("--seconds", type=float, help="equal time in the place of equal iterations: of each training")
    parser.add_argument("--batch", nargs="*", default=[], help="CONFIGURATION=SIZE, where not the default plan's")
    parser.add_argument("--patch", nargs="*", default=[], help="CONFIGURATION=EDGExEDGE..., where not each plan's own")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu", "mps"))
    parser.add_argument("--gpus", nargs="+", help="a training on each: their numbers")
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time, without --gpus")
    parser.add_argument("--threads", type=int, default=1, help="PyTorch's, of each training on a CPU")
    parser.add_argument("--loaders", type=int, help="processes that load, of each training (default: none on a CPU)")
    return parser.parse_args()


def runs_of(dataset: Path, schedule: dict[str, Any], args: argparse.Namespace) -> list[Run]:
    """All runs on one dataset, seeds and folds outermost, so that what is done first is complete."""
    prepared = Prepared(dataset, args.work, sizes_of(args.configurations, args.batch, args.patch))
    beyond = [fold for fold in args.folds if not 0 <= fold < len(prepared.split)]
    if beyond:
        raise SystemExit(
            f"--folds must be 0 to {len(prepared.split) - 1}, the {len(prepared.split)} folds of {dataset.name}'s "
            f"split, got {beyond}. "
            "nnU-Net would draw a random one."
        )
    runs = []
    for seed, fold, configuration, name in itertools.product(
        args.seeds, args.folds, args.configurations, args.networks
    ):
        arm = ARMS[name]
        plan = prepared.configuration(name, arm, configuration)
        recipe = {
            "dataset": dataset.name,
            "data": prepared.data,
            "configuration": configuration,
            "arm": name,
            "trainer": arm.trainer,
            "plan": plan,
            "fold": fold,
            "seed": seed,
            "schedule": schedule,
            "code": arm.code(),
        }
        runs.append(Run(prepared, recipe))
    return runs


def is_there(run: Run, results: Path) -> bool:
    """Whether its result is; one that can't be read is said, and gathered again."""
    path = results / results_files.file_name(run.recipe)
    if not path.is_file():
        return False
    try:
        results_files.read(path)
    except ValueError as error:
        print(f"made again: {error}", file=sys.stderr, flush=True)
        return False
    return True


def run_one(run: Run, places: queue.Queue[str | None], args: argparse.Namespace) -> str:
    """Trains, validates and scores one run, each unless it is done."""
    place = places.get()
    lock = run.prepared.work / run.results / f"fold_{run.recipe['fold']}.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    try:
        with lock.open("w") as held:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return IN_USE
            # the training inherits the lock: where a runner is killed and its training lives on, it stays held
            train(run, place, held.fileno(), args)
            return gather(run, place, held.fileno(), args)
    finally:
        places.put(place)


def train(run: Run, gpu: str | None, lock: int, args: argparse.Namespace) -> None:
    """nnUNetv2_train; a cut one goes on, a finished one is only validated."""
    if (run.folder / "validation" / "summary.json").is_file():
        return
    r = run.recipe
    if ARMS[r["arm"]].code() != r["code"]:
        raise ValueError("sources must stay as they were when the runner started, got others. Start it again.")
    run.prepared.configuration(r["arm"], ARMS[r["arm"]], r["configuration"])
    model = [r["dataset"], r["configuration"], str(r["fold"]), "-tr", f"{r['trainer']}_short", "-p", r["arm"]]
    command = ["nnUNetv2_train", *model, "-device", args.device]
    if (run.folder / "checkpoint_final.pth").is_file():
        command.append("--val")
    elif any((run.folder / f"checkpoint_{which}.pth").is_file() for which in ("latest", "best")):
        command.append("--c")
    call(run, command, gpu, lock, args)


def gather(run: Run, gpu: str | None, lock: int, args: argparse.Namespace) -> str:
    """Scores the validation masks and writes the result's file."""
    trained = json.loads((run.folder.parent / "plans.json").read_text())["configurations"][run.recipe["configuration"]]
    if any(trained[name] != run.recipe["plan"][name] for name in ("batch_size", "patch_size")):
        raise ValueError(
            f"--work must not be shared by runners with other sizes at a time, got {run.folder} trained from another "
            "plan. Remove it and run again."
        )
    scores = run.folder / "scores.json"
    dataset_json = run.prepared.dataset / "dataset.json"
    masks = ["-pred", str(run.folder / "validation"), "-ref", str(wanted_references(run))]
    command = ["nnunet-eas", "evaluate", *masks, "-djfile", str(dataset_json), "-o", str(scores), "--workers", "1"]
    call(run, command, gpu, lock, args)
    content = json.loads(scores.read_text())
    epochs = json.loads((run.folder / "epochs.json").read_text())
    steps = statistics.median(epoch["step_seconds_median"] for epoch in epochs)
    result = {
        "recipe": run.recipe,
        "key": results_files.key(run.recipe),
        "planned": run.prepared.planned(ARMS[run.recipe["arm"]], run.recipe["configuration"]),
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
    results_files.write(args.results, result)
    dice = content["mean"]["foreground"]["dice"]
    return f"Dice {dice:.4f}, {sum(e['iterations'] for e in epochs)} iterations, {steps:.3f} s a step"


def was_resumed(run: Run) -> bool:
    """Whether the training was cut and went on, which draws other samples from there on."""
    commands = [line.split() for line in log_of(run, "nnUNetv2_train").read_text(errors="replace").splitlines()]
    return any(command[:1] == ["nnUNetv2_train"] and "--c" in command for command in commands)


def log_of(run: Run, program: str) -> Path:
    """What a program of this run has printed; each command stands above its output."""
    return run.prepared.work / run.results / f"fold_{run.recipe['fold']}_{program}.txt"


def wanted_references(run: Run) -> Path:
    """A folder with links to the references of this fold alone."""
    folder = run.folder / "references"
    folder.mkdir(exist_ok=True)
    cases = run.prepared.split[run.recipe["fold"]]["val"]
    ending = json.loads((run.prepared.dataset / "dataset.json").read_text())["file_ending"]
    for case in cases:
        link = folder / f"{case}{ending}"
        if not link.exists():
            link.symlink_to((run.prepared.references / link.name).resolve())
    return folder


def call(run: Run, command: list[str], gpu: str | None, lock: int, args: argparse.Namespace) -> None:
    """One command in the run's surroundings; its output goes beside the model."""
    work, schedule = run.prepared.work, run.recipe["schedule"]
    loaders = args.loaders if args.loaders is not None else (0 if args.device == "cpu" else None)
    variables = {
        **os.environ,
        "nnUNet_raw": str(work / "raw"),
        "nnUNet_preprocessed": str(work / "preprocessed"),
        "nnUNet_results": str(work / run.results),
        "nnUNet_def_n_proc": "1",
        "BENCHMARK_EPOCHS": str(schedule["epochs"]),
        "BENCHMARK_ITERATIONS": str(schedule["iterations"] or 1),
        "BENCHMARK_VAL_ITERATIONS": str(schedule["val_iterations"]),
        "BENCHMARK_SEED": str(run.recipe["seed"]),
        **({"BENCHMARK_SECONDS": str(schedule["seconds"])} if schedule.get("seconds") else {}),
        **(
            {"BENCHMARK_THREADS": str(args.threads), "OMP_NUM_THREADS": str(args.threads)}
            if args.device == "cpu"
            else {}
        ),
        **({"nnUNet_n_proc_DA": str(loaders)} if loaders is not None else {}),
        **({"CUDA_VISIBLE_DEVICES": gpu} if gpu is not None else {}),
        **with_trainers(TRAINERS),
    }
    log = log_of(run, command[0])
    script = Path(sys.executable).parent / command[0]
    with log.open("a") as f:
        print(*command, file=f, flush=True)
        code = subprocess.call(
            [str(script), *command[1:]], env=variables, stdout=f, stderr=subprocess.STDOUT, pass_fds=(lock,)
        )
    if code:
        last = [line for line in log.read_text(errors="replace").splitlines() if line.strip()][-1:]
        raise RuntimeError(f"{command[0]} ended with {code} ({' '.join(last)[:200]}), see {log}")


if __name__ == "__main__":
    raise SystemExit(main())
