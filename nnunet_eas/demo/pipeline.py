"""The demo from end to end: six stages, each kept once it is finished."""

from __future__ import annotations

import json
import shlex
import zipfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import nnunet_eas
from nnunet_eas.demo import report
from nnunet_eas.demo.commands import Commands
from nnunet_eas.demo.knees import SIDE, write_knees
from nnunet_eas.demo.progress import Progress
from nnunet_eas.demo.scores import STRUCTURES, means, score
from nnunet_eas.demo.settings import CONFIGURATION, DATASET_ID, DATASET_NAME, FOLD, NAME, DemoSettings
from nnunet_eas.demo.training_output import TrainingOutput
from nnunet_eas.demo.workspace import Workspace, fingerprint, write_json

KNEES = "knees"
RAW = f"nnUNet_raw/{DATASET_NAME}"
SCANS = "new_scans"
PREPROCESSED = f"nnUNet_preprocessed/{DATASET_NAME}"
PREDICTIONS = "predictions"
PICTURES = "pictures"
SCORES = "stages/scores.json"
RESULTS = "results.json"
STAGES = ("knees", "convert", "plan", "train", "predict", "score")


class Demo:
    """One demo in one folder.

    Args:
        workspace: The folder, locked.
        commands: nnU-Net's.
        settings: Sizes.
        device: cpu, cuda or mps.
    """

    def __init__(self, workspace: Workspace, commands: Commands, settings: DemoSettings, device: str) -> None:
        self.workspace = workspace
        self.root = workspace.root
        self.commands = commands
        self.settings = settings
        self.device = device
        self.progress = Progress(stages=6)

    @property
    def model_folder(self) -> Path:
        """Where nnU-Net puts the trained model."""
        return self.root / f"nnUNet_results/{DATASET_NAME}/{self.settings.trainer}__nnUNetPlans__{CONFIGURATION}"

    def run(self) -> None:
        """Goes through the stages; what an earlier run finished with the same settings is kept."""
        s = asdict(self.settings)
        knees = {
            name: s[name] for name in ("seed", "shape", "spacing", "training_knees", "validation_knees", "test_knees")
        }
        training = {"trainer": s["trainer"], "schedule": s["schedule"], "device": self.device}
        stages: list[tuple[str, str, dict[str, Any], list[str], Callable[[bool], None]]] = [
            ("knees", "Drawing knees", {**knees, "version": nnunet_eas.__version__}, [KNEES], self._draw),
            ("convert", "Converting archive and new scans", {}, [RAW, SCANS], self._convert),
            ("plan", "Planning and preprocessing", {"batch_size": s["batch_size"]}, [PREPROCESSED], self._plan),
            ("train", "Training", training, [f"{self.model_folder}/fold_{FOLD}/checkpoint_final.pth"], self._train),
            ("predict", "Predicting unseen knees", {}, [PREDICTIONS], self._predict),
            ("score", "Scoring", {}, [SCORES, PICTURES], self._score),
        ]
        before = ""
        for number, (name, title, own, products, work) in enumerate(stages):
            before = fingerprint(own, before)
            stamp = self.workspace.stamp(name)
            same = stamp.get("fingerprint") == before
            if same and stamp["finished"] and all((self.root / product).exists() for product in products):
                self.progress.kept(title)
                continue
            self.workspace.remove(RESULTS)  # nothing old beside what is made now
            for later in stages[number + 1 :]:
                self.workspace.forget(later[0])
                for product in later[3]:
                    self.workspace.remove(product)
            self.workspace.begin(name, before)
            self.progress.begin(title)
            work(same)
            self.workspace.finish(name, before, self.progress.end())

    def predict_command(self) -> str:
        """How to predict scans of one's own with the trained model, on this machine."""
        model = shlex.quote(str(self.model_folder))
        return f"nnUNetv2_predict_from_modelfolder -i IMAGES -o PREDICTIONS -m {model} -f {FOLD} -device {self.device}"

    def seconds(self) -> dict[str, float]:
        """What each stage took, in the run that finished it."""
        return {name: self.workspace.stamp(name)["seconds"] for name in STAGES}

    def _draw(self, _: bool) -> None:
        partial = self._fresh(f"{KNEES}.partial")
        self.workspace.remove(KNEES)
        write_knees(partial, self.settings)
        partial.rename(self.root / KNEES)

    def _convert(self, begun: bool) -> None:
        if not begun:  # the conversion itself goes on where it was stopped
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
        structures = list(STRUCTURES)
        shown = [name for name in structures if "cartilage" in name]
        output = TrainingOutput(epochs=self.settings.schedule.epochs, structures=structures, shown=shown)

        def on_line(line: str) -> None:
            if news := output.read(line):
                self.progress.detail(news[0], milestone=news[1])

        arguments = (str(DATASET_ID), CONFIGURATION, str(FOLD), "-tr", self.settings.trainer, "-device", self.device)
        if begun and self._has_checkpoint():
            self.progress.detail("going on where an earlier run was stopped", milestone=True)
            try:
                self.commands.run("nnUNetv2_train", *arguments, "--c", on_line=on_line)
                return
            except RuntimeError:  # what a kill left may be past use; then the training starts again
                self.progress.detail("the stopped training can't go on, starting it again", milestone=True)
        self.workspace.remove("nnUNet_results")
        self.commands.run("nnUNetv2_train", *arguments, on_line=on_line)

    def _has_checkpoint(self) -> bool:
        """Whether there is a whole checkpoint. Half ones are deleted: nnU-Net would take them by their names."""
        files = sorted((self.model_folder / f"fold_{FOLD}").glob("checkpoint_*.pth"))
        for file in files:
            if not zipfile.is_zipfile(file):
                file.unlink()
        return any(file.exists() for file in files)

    def _predict(self, _: bool) -> None:
        partial = self._fresh(f"{PREDICTIONS}.partial")
        self.workspace.remove(PREDICTIONS)
        self._run(
            "nnUNetv2_predict",
            *("-i", str(self.root / SCANS), "-o", str(partial), "-d", str(DATASET_ID), "-c", CONFIGURATION),
            *("-f", str(FOLD), "-tr", self.settings.trainer, "-device", self.device, "-npp", "1", "-nps", "1"),
        )
        # left knees were mirrored to the side that the model knows: their masks go back
        home = self._fresh(f"{PREDICTIONS}.home.partial")
        table = ("--table", str(self.root / SCANS / "series.csv"), "--workers", "1")
        self._run("nnunet-eas", "convert", "masks", "-i", str(partial), "-o", str(home), *table)
        home.rename(self.root / PREDICTIONS)
        self.workspace.remove(partial.name)

    def _score(self, _: bool) -> None:
        import torch

        from nnunet_eas.demo import figures

        truth, predictions = self.root / KNEES / "truth", self.root / PREDICTIONS
        test = json.loads((self.root / KNEES / "cases.json").read_text())
        records = score(truth, predictions, test)
        partial = self._fresh(f"{PICTURES}.partial")
        for case in test:
            self.progress.detail(f"picture of {case}")
            figures.draw_case(
                partial / f"{case}.png",
                scan=truth / f"{case}_0000.nii.gz",
                truth=truth / f"{case}.nii.gz",
                prediction=predictions / f"{case}.nii.gz",
                title=case,
            )
        checkpoint = self.model_folder / f"fold_{FOLD}" / "checkpoint_final.pth"
        log = torch.load(checkpoint, map_location="cpu", weights_only=False)["logging"]
        figures.draw_curves(partial / "training.png", log, list(STRUCTURES))
        self.workspace.remove(PICTURES)
        partial.rename(self.root / PICTURES)
        # NaN is not JSON
        per_case = [{key: None if value != value else value for key, value in record.items()} for record in records]
        write_json(
            self.root / SCORES,
            {
                "definitions": report.definitions(),
                "mean": means(records),
                "per_case": per_case,
                "settings": asdict(self.settings),
                "environment": report.environment(self.device),
            },
        )

    def _run(self, name: str, *arguments: str) -> None:
        """Runs a command; the start of its latest line shows that it lives."""
        self.commands.run(name, *arguments, on_line=lambda line: self.progress.detail(line.strip()[:60]))

    def _fresh(self, name: str) -> Path:
        """An empty folder for half-finished work; what a killed run left in it is deleted."""
        self.workspace.remove(name)
        folder = self.root / name
        folder.mkdir()
        return folder
