"""The demo from end to end: six stages, each kept once it is finished."""

from __future__ import annotations

import json
import os
import shlex
import zipfile
from collections.abc import Callable
from dataclasses import asdict
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

import nnunet_eas
from nnunet_eas.demo import scores
from nnunet_eas.demo.knees import SIDE, write_knees
from nnunet_eas.demo.progress import Progress, TrainingOutput
from nnunet_eas.demo.settings import CONFIGURATION, DATASET_ID, DATASET_NAME, FOLD, NAME, DemoSettings
from nnunet_eas.demo.workspace import Workspace, fingerprint
from nnunet_eas.support.checkpoints import read_checkpoint
from nnunet_eas.support.device import choose_device
from nnunet_eas.support.files import write_json
from nnunet_eas.support.nnunet_commands import last_line, run_command

KNEES = "knees"
RAW = f"nnUNet_raw/{DATASET_NAME}"
SCANS = "new_scans"
PREPROCESSED = f"nnUNet_preprocessed/{DATASET_NAME}"
MODEL_MASKS = "masks_of_the_model"
PREDICTIONS = "predictions"
PICTURES = "pictures"
SCORES = "stages/scores.json"
RESULTS = "results.json"


class Stage(NamedTuple):
    """One stage of the demo."""

    name: str  # of its stamp
    title: str  # its line on the terminal
    settings: dict[str, Any]  # what its products depend on, besides the stages before it
    products: tuple[str, ...]  # files and folders that it makes
    work: Callable[[bool], None]  # makes them; gets whether an earlier run began it with the same settings


class Demo:
    """One demo in one folder, which is new, empty or an earlier demo's.

    `device` may be auto, for the best that this machine has; `lookup_folder` is where nnU-Net finds our trainers.
    """

    def __init__(self, output: Path, *, quick: bool, seed: int, device: str, lookup_folder: str) -> None:
        self.device = choose_device(device, "--device")
        self.workspace = Workspace(output, options={"quick": quick, "seed": seed})
        self.root = self.workspace.root
        self.settings = DemoSettings.quick(seed) if quick else DemoSettings(seed)
        self.lookup_folder = lookup_folder
        model = f"{self.settings.trainer}__nnUNetPlans__{CONFIGURATION}"
        self.model_folder = self.root / "nnUNet_results" / DATASET_NAME / model
        self._fold_folder = self.model_folder / f"fold_{FOLD}"
        self._lock: tuple[int, ...] = ()

    def run(self) -> dict[str, Any]:
        """Runs the stages that no earlier run finished with the same settings; returns the content of results.json."""
        with self.workspace.lock() as self._lock:
            stages = self._stages()
            self.progress = Progress(len(stages))
            before = ""
            for number, stage in enumerate(stages, 1):
                before = fingerprint(stage.settings, before)
                self._run_stage(stage, before, later=stages[number:])
            results = json.loads((self.root / SCORES).read_text())
            results["seconds"] = {stage.name: self.workspace.stamp(stage.name)["seconds"] for stage in stages}
            write_json(self.root / RESULTS, results)
        return results

    def predict_command(self) -> str:
        """A command that predicts with the trained model, here the demo's own scans."""
        paths = self.root / SCANS, self.root / "my_masks", self.model_folder
        scans, masks, model = (shlex.quote(str(path)) for path in paths)
        return f"nnunet-eas predict -i {scans} -o {masks} -m {model}"

    def _stages(self) -> list[Stage]:
        knees = {**asdict(self.settings), "version": nnunet_eas.__version__}
        checkpoint = str(self._fold_folder / "checkpoint_final.pth")
        return [
            Stage("knees", "Drawing knees", knees, (KNEES,), self._draw),
            Stage("convert", "Converting archive and new scans", {}, (RAW, SCANS), self._convert),
            Stage("plan", "Planning and preprocessing", {}, (PREPROCESSED,), self._plan),
            Stage("train", "Training", {"device": self.device}, (checkpoint,), self._train),
            Stage("predict", "Predicting unseen knees", {}, (PREDICTIONS,), self._predict),
            Stage("score", "Scoring", {}, (SCORES, PICTURES), self._score),
        ]

    def _run_stage(self, stage: Stage, settings: str, later: list[Stage]) -> None:
        stamp = self.workspace.stamp(stage.name)
        same = stamp.get("fingerprint") == settings
        if same and stamp["finished"] and all((self.root / product).exists() for product in stage.products):
            self.progress.kept(stage.title)
            return
        stale = [product for other in later for product in (*other.products, f"stages/{other.name}.json")]
        for product in (RESULTS, *stale):
            self.workspace.remove(product)
        self.workspace.write_stamp(stage.name, settings)
        with self.progress.stage(stage.title):
            stage.work(same)
        self.workspace.write_stamp(stage.name, settings, self.progress.seconds)

    def _draw(self, _: bool) -> None:
        write_knees(self.workspace.empty(KNEES), self.settings)

    def _convert(self, begun: bool) -> None:
        if not begun:  # an interrupted conversion resumes where it was
            self.workspace.remove("nnUNet_raw")
            self.workspace.remove(SCANS)
        knees = self.root / KNEES
        self._run(
            *("nnunet-eas", "convert", "oai-zib", "--archive", str(knees / "archive"), "--mri", str(knees / "mri")),
            *("-d", str(DATASET_ID), "--name", NAME, "--output", str(self.root / "nnUNet_raw"), "--workers", "2"),
            *("--labels", "cartilage-and-bone", "--split", str(knees / "split.json")),
        )
        scans = ("-i", str(knees / "scans"), "-o", str(self.root / SCANS), "--side", SIDE, "--workers", "2")
        self._run("nnunet-eas", "convert", "dicom", *scans)

    def _plan(self, _: bool) -> None:
        self.workspace.remove("nnUNet_preprocessed")
        self._run("nnUNetv2_plan_and_preprocess", "-d", str(DATASET_ID), "-c", CONFIGURATION, "-np", "1", "-npfp", "1")
        plans = self.root / PREPROCESSED / "nnUNetPlans.json"
        content = json.loads(plans.read_text())
        content["configurations"][CONFIGURATION]["batch_size"] = self.settings.batch_size
        write_json(plans, content)

    def _train(self, begun: bool) -> None:
        output = TrainingOutput(epochs=self.settings.schedule.epochs, structures=list(scores.STRUCTURES))

        def on_line(line: str) -> None:
            if news := output.read(line):
                self.progress.detail(news[0], milestone=news[1])

        options = ("-tr", self.settings.trainer, "-device", self.device)
        command = ("nnUNetv2_train", str(DATASET_ID), CONFIGURATION, str(FOLD), *options)
        if begun and self._has_checkpoint():
            self.progress.detail("resuming an interrupted training", milestone=True)
            try:
                self._run(*command, "--c", on_line=on_line)
                return
            except RuntimeError:  # a killed training can leave files that nnU-Net cannot use
                self.progress.detail("the interrupted training cannot be resumed, starting anew", milestone=True)
        self.workspace.remove("nnUNet_results")
        self._run(*command, on_line=on_line)

    def _has_checkpoint(self) -> bool:
        """Whether there is a complete checkpoint; partial ones are deleted, because nnU-Net would load them."""
        for file in self._fold_folder.glob("checkpoint_*.pth"):
            if not zipfile.is_zipfile(file):
                file.unlink()
        return any(self._fold_folder.glob("checkpoint_*.pth"))

    def _predict(self, _: bool) -> None:
        self._run(
            *("nnUNetv2_predict", "-i", str(self.root / SCANS), "-o", str(self.workspace.empty(MODEL_MASKS))),
            *("-d", str(DATASET_ID), "-c", CONFIGURATION, "-f", str(FOLD), "-tr", self.settings.trainer),
            *("-device", self.device, "-npp", "1", "-nps", "1"),
        )
        # left knees were mirrored to the side that the model knows: their masks are mirrored back
        self._run(
            *("nnunet-eas", "convert", "masks", "-i", str(self.root / MODEL_MASKS), "--workers", "1"),
            *("-o", str(self.workspace.empty(PREDICTIONS)), "--table", str(self.root / SCANS / "series.csv")),
        )

    def _score(self, _: bool) -> None:
        from nnunet_eas.demo import figures

        knees, predictions = self.root / KNEES, self.root / PREDICTIONS
        cases = json.loads((self.root / KNEES / "cases.json").read_text())
        records = scores.score(knees / "truth", predictions, cases)
        pictures = self.workspace.empty(PICTURES)
        steps = self.settings.schedule.epochs * self.settings.schedule.iterations
        for case in cases:
            self.progress.detail(f"picture of {case}")
            folders = knees / "truth_scans", knees / "truth", predictions
            figures.draw_case(pictures / f"{case}.png", case, *folders, steps=steps)
        checkpoint = read_checkpoint(self._fold_folder / "checkpoint_final.pth")
        figures.draw_curves(pictures / "training.png", checkpoint["logging"], list(scores.STRUCTURES))
        content = {"definitions": scores.DEFINITIONS, "mean": scores.means(records), "per_case": records}
        content |= {"settings": asdict(self.settings), "environment": scores.environment(self.device)}
        write_json(self.root / SCORES, content)

    def _run(self, name: str, *arguments: str, on_line: Callable[[str], None] | None = None) -> None:
        """Runs a command to its end; by default its latest line of output is the stage's detail."""
        shown = " ".join(takewhile(lambda argument: not argument.startswith("-"), (name, *arguments)))
        self.progress.detail(f"running {shown}", milestone=True)
        log = self.root / "logs" / f"{name}.log"
        status = run_command(
            (name, *arguments),
            log,
            environment=command_environment(name, self.root, self.lookup_folder),
            folder=self.root,
            inherit=self._lock,
            on_line=on_line or (lambda line: self.progress.detail(f"{shown}: {line.strip()[:60]}")),
        )
        if status:
            raise RuntimeError(f"{name} must succeed, got exit status {status}: {last_line(log)}. See {log}.")


def command_environment(command: str, root: Path, lookup_folder: str) -> dict[str, str]:
    """The environment of one of nnU-Net's commands, with its folders below the demo's root."""
    directories = [d for d in os.environ.get("nnUNet_extTrainer", "").split(os.pathsep) if d]
    return {
        # on a busy core, threads that spin while they wait take the core from those that they wait for
        "OMP_WAIT_POLICY": "PASSIVE",
        **os.environ,
        **{name: str(root / name) for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")},
        # the demo also works where the start-up registration is switched off
        "nnUNet_extTrainer": os.pathsep.join(dict.fromkeys([*directories, lookup_folder])),
        # With 0 the training augments in its own process: on a few cores, worker processes only compete with the
        # network, and a killed training leaves none behind. The planner takes the number for its threads and refuses 0.
        "nnUNet_n_proc_DA": "0" if command == "nnUNetv2_train" else "2",
        # every process that nnU-Net starts imports PyTorch, which costs more than a second one saves on a few knees
        "nnUNet_def_n_proc": "1",
        "PYTHONUNBUFFERED": "1",  # progress arrives when it happens
    }
