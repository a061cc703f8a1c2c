"""nnU-Net's own commands on a benchmark's own folders."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

BENCHMARK_TRAINERS = Path(__file__).parent.resolve() / "trainers"


def call(work: Path, command: list[str], results: str = "results", **variables: str) -> None:
    """Runs a console script of this environment as a user would; its output goes to a log below `work`.

    Args:
        work: Holds raw, preprocessed, the results folder and logs.
        command: The command and its arguments.
        results: Name of the results folder below `work`.
        **variables: Environment variables for this command.
    """
    env = {
        "nnUNet_n_proc_DA": "1",
        "nnUNet_def_n_proc": "2",
        **os.environ,
        "nnUNet_raw": str(work / "raw"),
        "nnUNet_preprocessed": str(work / "preprocessed"),
        "nnUNet_results": str(work / results),
        **variables,
    }
    (work / "logs").mkdir(parents=True, exist_ok=True)
    log = work / "logs" / f"{time.strftime('%H%M%S')}_{command[0]}_{results}.txt"
    with log.open("w") as f:
        print(*command, file=f, flush=True)
        script = Path(sys.executable).parent / command[0]
        code = subprocess.call([str(script), *command[1:]], env=env, stdout=f, stderr=subprocess.STDOUT)
    if code:
        raise SystemExit(f"{' '.join(command)} failed, see {log}")


def with_trainers(folder: Path) -> dict[str, str]:
    """The variable by which nnU-Net finds trainers in `folder`, in front of those that it finds already."""
    return {"nnUNet_extTrainer": os.pathsep.join(filter(None, [str(folder), os.environ.get("nnUNet_extTrainer")]))}


def plan(
    work: Path,
    dataset: Path,
    batch_sizes: dict[str, int],
    patch_sizes: dict[str, list[int]] | None = None,
    plans_name: str = "nnUNetPlans",
) -> list[list[str]]:
    """Plans and preprocesses once, then edits the plan's batch sizes, and patch sizes, as nnU-Net lets users do.

    `plans_name` is nnUNetPlans, by nnU-Net's default planner, or EASUNetPlans, by ours.

    Returns:
        The commands that were, or had been, run.
    """
    command = preprocess(work, dataset, list(batch_sizes), plans_name)
    plans_file = work / "preprocessed" / dataset.name / f"{plans_name}.json"
    plans = json.loads(plans_file.read_text())
    for configuration, size in batch_sizes.items():
        plans["configurations"][configuration]["batch_size"] = size
    for configuration, patch_size in (patch_sizes or {}).items():
        plans["configurations"][configuration]["patch_size"] = patch_size
    plans_file.write_text(json.dumps(plans, indent=4))
    return [command]


def preprocess(work: Path, dataset: Path, configurations: list[str], plans_name: str = "nnUNetPlans") -> list[str]:
    """Plans and preprocesses a dataset of nnU-Net's raw layout, unless it is done; returns the command."""
    if not (dataset / "dataset.json").is_file():
        raise SystemExit(f"--dataset must hold dataset.json, got {dataset}. Give a DatasetXXX_NAME folder, raw layout.")
    commands = {"nnUNetPlans": ["nnUNetv2_plan_and_preprocess"], "EASUNetPlans": ["nnunet-eas", "plan_and_preprocess"]}
    command = [*commands[plans_name], "-d", str(int(dataset.name[7:10])), "-c", *configurations]
    command.append("--verify_dataset_integrity")
    done = work / "_".join(["planned", plans_name, *configurations])
    if not done.is_file():
        print(f"planning and preprocessing {dataset.name}: {', '.join(configurations)}", flush=True)
        shutil.copytree(dataset, work / "raw" / dataset.name, dirs_exist_ok=True)
        call(work, [*command, "-np", "2", "-npfp", "2"])
        done.touch()
    return command


def by_name(items: list[str]) -> dict[str, str]:
    """`["2d=48", ...]` from a command line as a dictionary."""
    return dict(item.split("=", 1) for item in items)


def write_json(path: Path, content: dict) -> None:
    """Under a temporary name first: a reader never meets half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(content, indent=2) + "\n")
    temporary.replace(path)
