"""Checks for the first hour on a GPU, most important first.

    python -m benchmarks.gpu_check WORK_FOLDER [--seconds S] [--rehearse] [STEP ...]

Each step stands alone and ends within 8 minutes: one that fails is named, and the next one runs. All of them end within
--seconds. A second call runs what has not passed, and resumes interrupted steps. Results are WORK_FOLDER/*.json,
what a step printed is in logs/, and how each of them ended in steps.json. `--rehearse` runs the same on the CPU with a
few voxels, in minutes; a folder holds either rehearsals or the results of a GPU.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, TextIO

import torch

from benchmarks import environment
from benchmarks.commands import ROOT, folder_variables
from benchmarks.compare.synthetic_knees import NAME as KNEES
from nnunet_eas.support.files import write_json
from nnunet_eas.support.nnunet_commands import command_line

MOST_SECONDS, LEAST_SECONDS = 480, 20  # of a step
CONFIGURATIONS = ("3d_fullres", "2d")
Command = list[str]


def main() -> int:
    """Runs the steps; 1 if one has not passed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path, help="folder for everything that is written")
    parser.add_argument("steps", nargs="*", metavar="STEP", help=f"(default: all) {', '.join(steps(Path(), False))}")
    parser.add_argument("--seconds", type=float, default=math.inf, help="after these, no step goes on")
    parser.add_argument("--rehearse", action="store_true", help="on the CPU, with a few voxels")
    args = parser.parse_intermixed_args()
    work = args.work.resolve()
    known = steps(work, args.rehearse)
    unknown = [name for name in args.steps if name not in known]
    if unknown:
        parser.error(f"STEP must be one of {', '.join(known)}, got {', '.join(unknown)}")
    if not args.rehearse and not torch.cuda.is_available():
        parser.error("a GPU that PyTorch can use must be there, got none. Give --rehearse.")
    file = work / "steps.json"
    before = json.loads(file.read_text()) if file.is_file() else {"rehearsed": args.rehearse, "steps": {}}
    if before["rehearsed"] != args.rehearse:
        parser.error(f"WORK_FOLDER must hold either rehearsals or results of a GPU, got {work} with the others")
    ended = before["steps"]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # run() then kills its step
    end = time.monotonic() + args.seconds
    for name in args.steps or known:
        if ended.get(name, {}).get("state") == "passed":
            print(f"{name}: passed before")
            continue
        most = min(MOST_SECONDS, end - time.monotonic())
        if most < LEAST_SECONDS:
            ended.setdefault(name, {"state": "not started", "seconds": 0})
            continue
        ended[name] = run(known[name], work, work / "logs" / f"{name.replace(' ', '_')}.txt", most)
        print(f"{name}: {ended[name]['state']} ({ended[name]['seconds']:.0f} s)", flush=True)
        write_json(file, {"rehearsed": args.rehearse, "steps": ended, "environment": environment.describe()})
    failed = [name for name in args.steps or known if ended[name]["state"] != "passed"]
    print(f"not passed: {', '.join(failed)}; logs: {work / 'logs'}" if failed else f"all passed; results: {work}")
    return int(bool(failed))


def steps(work: Path, rehearse: bool) -> dict[str, list[Command]]:
    """The commands of each step."""
    device = ["--device", "cpu" if rehearse else "cuda"]
    gpu = _module("speed.gpu", "--json", f"{work}/gpu.json", *device, "--seconds", "300")
    if rehearse:
        gpu += ["--tiny", "--first", "2", "--steps", "1"]
    memory = _module("planning.training_memory", "--work", f"{work}/memory", "--out", f"{work}/memory.json", *device)
    if rehearse:
        memory += ["--datasets", "Dataset514_Photographs", "--targets", "8", "--limit-gb", "0.01"]
    else:
        memory += ["--datasets", "Dataset510_Knee", "--targets", "8", "24", "--seconds", "300"]
    tests = [sys.executable, "-m", "pytest", "-m", "gpu", "tests/gpu/test_depthwise.py", "tests/host/test_cuda.py"]
    found: dict[str, list[Command]] = {}
    for kind in ("steps", "commands"):
        for configuration in CONFIGURATIONS:
            found[f"{kind} {configuration}"] = [[*gpu, "--only", kind, "--configurations", configuration]]
    guards = _module("speed.guards", "--json", f"{work}/guards.json", *device, *(["--tiny"] if rehearse else []))
    found |= {"doctor": [["nnunet-eas", "doctor"]], "tests": [tests], "memory": [memory], "guards": [guards]}
    found |= {f"training {configuration}": _training(work, configuration, rehearse) for configuration in CONFIGURATIONS}
    for configuration in CONFIGURATIONS:
        found[f"scans {configuration}"] = [[*gpu, "--only", "scans", "--configurations", configuration]]
    if torch.cuda.device_count() > 1 and not rehearse:
        train = [
            "nnUNetv2_train",
            KNEES,
            "CONFIGURATION",
            "0",
            "-tr",
            "EASUNetTrainer_5epochs",
            "-num_gpus",
            "2",
            "--c",
        ]
        for configuration in CONFIGURATIONS:
            found[f"two GPUs {configuration}"] = [[word.replace("CONFIGURATION", configuration) for word in train]]
    return found


def _training(work: Path, configuration: str, rehearse: bool) -> list[Command]:
    """Default nnU-Net, EAS U-Net and ResEnc-M, trained for a short time with the real command."""
    shape = ["40", "48", "12"] if rehearse else ["160", "192", "48"]
    draw = _module("compare.synthetic_knees", "--out", f"{work}/data", "--knees", "5", "--shape", *shape)
    runner = _module("compare.runner", "--datasets", f"{work}/data/{KNEES}", "--work", f"{work}/training")
    runner += ["--results", f"{work}/runs", "--configurations", configuration, "--folds", "0"]
    if rehearse:
        runner += ["--networks", "eas", "--epochs", "1", "--iterations", "1", "--val-iterations", "1"]
        runner += ["--batch", f"{configuration}=2", "--device", "cpu"]
    else:
        runner += ["--networks", "default", "eas", "resenc_m", "--epochs", "2", "--iterations", "50"]
    return [draw, runner]


def _module(name: str, *options: str) -> Command:
    return [sys.executable, "-m", f"benchmarks.{name}", *options]


def run(commands: list[Command], work: Path, log: Path, most_seconds: float) -> dict[str, str | float]:
    """Runs a step's commands one after another; how it ended, and its seconds."""
    begin = time.monotonic()
    folders = folder_variables(work / "training" / KNEES)
    log.parent.mkdir(parents=True, exist_ok=True)
    for folder in folders.values():
        Path(folder).mkdir(parents=True, exist_ok=True)
    state = "passed"
    with log.open("a", encoding="utf-8") as output:
        for command in commands:
            output.write(f"$ {' '.join(command)}\n")
            output.flush()
            try:
                words = command if command[0] == sys.executable else command_line(*command)
            except FileNotFoundError as error:  # not installed
                state = f"FAILED: {error}"
                break
            status = _status(words, {**os.environ, **folders}, output, most_seconds - (time.monotonic() - begin))
            if status:
                state = "not finished" if status == os.EX_TEMPFAIL else f"FAILED with {status}"
                break
    return {"state": state, "seconds": round(time.monotonic() - begin, 1)}


def _status(words: Command, variables: dict[str, str], output: TextIO, most_seconds: float) -> int:
    """The exit status of a command, EX_TEMPFAIL where time is up; nothing that it has started is left."""
    options: dict[str, Any] = {"stdout": output, "stderr": subprocess.STDOUT, "start_new_session": True}
    process = subprocess.Popen(words, cwd=ROOT, env=variables, **options)
    try:
        return process.wait(max(0, most_seconds))
    except subprocess.TimeoutExpired:
        return os.EX_TEMPFAIL
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


if __name__ == "__main__":
    sys.exit(main())
