"""`kill -9` at random moments of every long command: a restart completes, with the results of an undisturbed run.

`benchmarks.checks.faults` calls this. A run starts a command on a fresh copy of its input, kills it and all its
processes a few times at random moments of an undisturbed run's time, and then lets it end. Its results are compared
with those of the undisturbed run: images and preprocessed data voxel by voxel, weights bit by bit, JSON text by text.
Trainings are in the reproducible mode (NNUNET_EAS_SEED), for which killed and undisturbed runs have the same weights.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import blosc2
import numpy as np

from benchmarks.checks.fault_bench import CONFIGURATION, ID, NAME, PLANS, TRAINER, FaultBench, read_array, read_rows
from nnunet_eas.support.checkpoints import fault_of, read_checkpoint
from nnunet_eas.support.files import write_json
from nnunet_eas.support.nnunet_commands import command_line

KILLS_A_RUN = 4
SAVE_EVERY = 1  # epochs, of the bench's trainer
MOST_SECONDS = 900  # of a run that is not killed
FOLD_FOLDER = f"results/{NAME}/{TRAINER}__{PLANS}__{CONFIGURATION}/fold_0"


@dataclass(frozen=True)
class Stage:
    """A command, the bench's folders that it needs a copy of, and the places of its results."""

    words: Callable[[FaultBench, Path], list[str]]
    needs: tuple[str, ...] = ()
    results: tuple[str, ...] = ()  # patterns below the run's folder


def _convert(bench: FaultBench, folder: Path) -> list[str]:
    knees = bench.work / "knees"
    source = ["--archive", str(knees / "archive"), "--mri", str(knees / "mri"), "-d", ID, "--name", "Faults"]
    return ["nnunet-eas", "convert", "oai-zib", *source, "--output", str(folder / "raw"), "--workers", "1"]


def _preprocess(bench: FaultBench, folder: Path) -> list[str]:
    return ["nnunet-eas", "plan_and_preprocess", "-d", ID, "-c", CONFIGURATION, "-np", "1", "-npfp", "1"]


def _train(bench: FaultBench, folder: Path) -> list[str]:
    return ["nnUNetv2_train", ID, CONFIGURATION, "0", "-tr", TRAINER, "-device", "cpu", "--c"]


def _predict(bench: FaultBench, folder: Path) -> list[str]:
    given = ["-i", str(bench.work / "scans"), "-o", str(folder / "masks"), "-m", str(bench.model), "-f", "0"]
    return ["nnunet-eas", "predict", *given, "-device", "cpu", "--engine", "torch", "--continue_prediction"]


def _export(bench: FaultBench, folder: Path) -> list[str]:
    return ["nnunet-eas", "export", str(bench.model), "--to", "onnx", "-o", str(folder / "model.onnx")]


def _crossval(bench: FaultBench, folder: Path) -> list[str]:
    models = ["-c", CONFIGURATION, "-p", PLANS, "-tr", TRAINER, "--folds", "0", "1"]
    return ["nnunet-eas", "crossval", "-d", ID, *models, "-device", "cpu", "--workers", "1"]


STAGES: dict[str, Stage] = {
    "convert": Stage(_convert, (), ("raw/**/*.nii.gz", "raw/**/dataset.json")),
    "preprocess": Stage(_preprocess, ("raw",), ("preprocessed/**/*.b2nd", "preprocessed/**/*.json")),
    "train": Stage(
        _train, ("raw", "preprocessed"), (f"{FOLD_FOLDER}/checkpoint_final.pth", f"{FOLD_FOLDER}/validation/*.nii.gz")
    ),
    "predict": Stage(_predict, (), ("masks/*.nii.gz",)),
    "export": Stage(_export, (), ("model.onnx",)),
    "crossval": Stage(
        _crossval,
        ("raw", "preprocessed"),
        ("results/**/checkpoint_final.pth", "results/**/postprocessing.json", "results/**/inference_information.json"),
    ),
}

SHARES = {"convert": 0.15, "preprocess": 0.15, "train": 0.3, "predict": 0.2, "export": 0.05, "crossval": 0.15}
"""Shares of the random kills."""


class Run:
    """A command on a fresh copy of its input, in a folder of one name for all runs."""

    def __init__(self, bench: FaultBench, stage: str) -> None:
        self.bench, self.stage = bench, STAGES[stage]
        self.folder = bench.work / "killed"
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        for name in self.stage.needs:
            shutil.copytree(bench.work / name, self.folder / name)
        self.log = bench.work / "logs" / f"kills_{stage}.txt"
        self.log.parent.mkdir(exist_ok=True)

    def start(self) -> subprocess.Popen:
        """Starts the command."""
        with self.log.open("a") as log:
            log.write(f"== {time.strftime('%H:%M:%S')}\n")
            log.flush()
            return subprocess.Popen(
                command_line(*self.stage.words(self.bench, self.folder)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env={**self.bench.environment(self.folder), "NNUNET_EAS_SEED": "7"},
                start_new_session=True,
            )

    def finish(self) -> int:
        """Runs the command to its end."""
        process = self.start()
        try:
            return process.wait(MOST_SECONDS)
        except subprocess.TimeoutExpired:
            kill(process)
            return -1

    def results(self) -> dict[str, str]:
        """A digest of each result, by its place."""
        files = {file for pattern in self.stage.results for file in self.folder.glob(pattern)}
        return {file.relative_to(self.folder).as_posix(): digest(file) for file in sorted(files)}


def kill(process: subprocess.Popen) -> None:
    """Kills a command and its processes."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def digest(file: Path) -> str:
    """The content of a file: voxels, weights, or bytes."""
    if file.name.endswith(".nii.gz"):
        content = np.ascontiguousarray(read_array(file)).tobytes()
    elif file.suffix == ".b2nd":
        content = np.ascontiguousarray(blosc2.open(urlpath=str(file), mode="r")[:]).tobytes()
    elif file.suffix == ".pth":
        weights = read_checkpoint(file)["network_weights"]
        content = b"".join(weights[key].numpy().tobytes() for key in sorted(weights))
    else:
        content = file.read_bytes()
    return hashlib.sha256(content).hexdigest()


def run(bench: FaultBench, kills: int, in_writes: int, out: Path, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Makes the runs that are missing, and writes an outcome for each into a JSON.

    Args:
        bench: The prepared bench.
        kills: At random moments, over all stages.
        in_writes: Kills of trainings while a checkpoint is written.
        out: The JSON.
        say: Gets a line for each run.
    """
    rows = read_rows(out)
    for number, (stage, share) in enumerate(SHARES.items()):
        _kill_stage(bench, stage, round(kills * share), [number], rows, out, say, _kill_at_random)
    _kill_stage(bench, "train", in_writes, [99], rows, out, say, _kill_in_writes, name="checkpoint write")
    return rows


def _kill_stage(
    bench: FaultBench,
    stage: str,
    kills: int,
    seed: list[int],
    rows: dict[str, Any],
    out: Path,
    say: Callable[[str], None],
    disturb: Callable[[Run, float, np.random.Generator, int], list[float]],
    name: str | None = None,
) -> None:
    name = name or stage
    reference = f"{stage}/undisturbed"
    if kills and reference not in rows:
        undisturbed = Run(bench, stage)
        started = time.monotonic()
        status = undisturbed.finish()
        seconds = time.monotonic() - started
        rows[reference] = {"status": status, "seconds": seconds, "results": undisturbed.results()}
        if status or not rows[reference]["results"]:
            raise RuntimeError(f"{stage} must succeed undisturbed, got status {status}. See {undisturbed.log}.")
        write_json(out, rows)
    done = index = 0
    while done < kills:
        key = f"{name}/{index}"
        if key not in rows:
            rng = np.random.default_rng([*seed, index])
            killed = Run(bench, stage)
            moments = disturb(killed, rows[reference]["seconds"], rng, min(KILLS_A_RUN, kills - done))
            status = killed.finish()
            rows[key] = {"kills": moments, "status": status, "faults": _faults(killed, status, rows[reference])}
            write_json(out, rows)
            say(f"{key}: killed after {moments} s, {'; '.join(rows[key]['faults']) or 'well'}")
        done += len(rows[key]["kills"])
        index += 1


def _kill_at_random(run: Run, seconds: float, rng: np.random.Generator, most: int) -> list[float]:
    """Kills the command up to `most` times; returns the moments in seconds. A command may end before."""
    moments: list[float] = []
    for _ in range(most):
        moment = float(rng.uniform(0, seconds))
        process = run.start()
        try:
            process.wait(moment)
            break
        except subprocess.TimeoutExpired:
            kill(process)
            moments.append(round(moment, 2))
    return moments


def _kill_in_writes(run: Run, seconds: float, rng: np.random.Generator, most: int) -> list[float]:
    """Kills a training while it writes a checkpoint, at most `most` times."""
    fold, moments = run.folder / FOLD_FOLDER, []
    for _ in range(most):
        for temporary in fold.glob("*.tmp"):
            temporary.unlink()
        skipped = int(rng.integers(0, 2))  # writes that are let pass
        process, started = run.start(), time.monotonic()
        was_there = False
        while process.poll() is None:
            is_there = any(fold.glob("checkpoint_*.pth.tmp")) if fold.is_dir() else False
            if is_there and not was_there:
                if not skipped:
                    time.sleep(float(rng.uniform(0, 0.02)))
                    kill(process)
                    break
                skipped -= 1
            was_there = is_there
            time.sleep(0.0005)
        if process.poll() != -signal.SIGKILL:
            break  # it ended before
        if any(fold.glob("checkpoint_*.pth.tmp")):  # otherwise the write had just ended
            moments.append(round(time.monotonic() - started, 2))
    return moments


def _faults(run: Run, status: int, undisturbed: dict[str, Any]) -> list[str]:
    faults = [f"the restart ended with status {status}"] if status else []
    found = run.results()
    differing = [name for name in undisturbed["results"] if found.get(name) != undisturbed["results"][name]]
    faults += [f"{name} differs" if name in found else f"no {name}" for name in differing]
    faults += [f"{file.name} {fault}" for file in run.folder.rglob("*.pth") if (fault := fault_of(file))]
    return [*faults, *_repeated(run)]


def _repeated(run: Run) -> list[str]:
    """Epochs that were trained more often than the interval of checkpoints allows."""
    faults = []
    for fold in run.folder.glob("results/*/*/fold_*"):
        logs = sorted(fold.glob("training_log_*.txt"))
        starts = [[int(n) for n in re.findall(r": Epoch (\d+)\b", log.read_text())] for log in logs]
        last = None
        for epochs in filter(None, starts):
            if last is not None and last - epochs[0] >= SAVE_EVERY + 1:
                faults.append(f"{fold.name} went back from epoch {last} to {epochs[0]}")
            last = epochs[-1]
    return faults


def summary(rows: dict[str, Any]) -> dict[str, Any]:
    """Counts of kills by stage, and what went wrong."""
    kills: dict[str, int] = {}
    for key, row in rows.items():
        name = key.split("/")[0]
        kills[name] = kills.get(name, 0) + len(row.get("kills", []))
    return {"kills": kills, "faults": {key: row["faults"] for key, row in rows.items() if row.get("faults")}}
