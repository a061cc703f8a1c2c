"""nnU-Net as its users have it: its console commands, its folders, a shell.

The commands take ten seconds each to start. So what several tests look at is made once for all of them, and commands
that do not need each other run side by side.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from tiny_dataset import LABELS, case_identifiers, write_scans

from nnunet_eas.trainer import EASUNetTrainer

COMMANDS = Path(sys.executable).parent
MY_TRAINERS = Path(__file__).parent / "my_trainers"


@dataclass
class Host:
    """nnU-Net's three folders, a user's own trainers, and a shell in which its commands are typed.

    `nnUNet_extTrainer` names the user's directory alone: that ours is found too is the start-up file's work.
    """

    folder: Path

    def __post_init__(self) -> None:
        self.raw, self.preprocessed, self.results = (self.folder / name for name in ("raw", "preprocessed", "results"))
        for path in (self.raw, self.preprocessed, self.results):
            path.mkdir(parents=True)
        self.trainers = Path(shutil.copytree(MY_TRAINERS, self.folder / "my_trainers"))

    def environment(self, **variables: object) -> dict[str, str]:
        """A fresh shell's variables; None leaves one out."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("nnUNet", "NNUNET", "PYTHON"))}
        own = {
            "PATH": os.pathsep.join((str(COMMANDS), os.environ.get("PATH", os.defpath))),
            "nnUNet_raw": self.raw,
            "nnUNet_preprocessed": self.preprocessed,
            "nnUNet_results": self.results,
            "nnUNet_extTrainer": self.trainers,
            "nnUNet_def_n_proc": 1,
            "nnUNet_n_proc_DA": 0,
            "nnUNet_npp": 0,  # processes of nnUNetv2_predict; each of them imports PyTorch
            "nnUNet_nps": 0,
            "PYTHONPATH": os.environ.get("PYTHONPATH"),  # pools of threads, if anything
            **variables,
        }
        return {**inherited, **{k: str(v) for k, v in own.items() if v is not None}}

    def run(self, *command: object, check: bool = True, **variables: object) -> subprocess.CompletedProcess:
        arguments = [str(part) for part in command]
        completed = subprocess.run(
            arguments,
            cwd=self.folder,
            env=self.environment(**variables),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if check and completed.returncode != 0:
            pytest.fail(f"{arguments} exited with {completed.returncode}\n{completed.stdout}\n{completed.stderr}")
        return completed

    def run_together(self, *commands: tuple, **options) -> list[subprocess.CompletedProcess]:
        """Run commands that do not need each other, two at a time; the results come in the commands' order."""
        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(lambda command: self.run(*command, **options), commands))

    def plan_and_preprocess(self, dataset: Path, configurations: list[str], *more: str) -> Path:
        """Returns the preprocessed data's folder."""
        identifier = dataset.name[len("Dataset") :].split("_")[0]
        command = ["nnUNetv2_plan_and_preprocess", "-d", identifier, "-c", *configurations, "-np", "1", "-npfp", "1"]
        self.run(*command, *more, nnUNet_n_proc_DA=1)  # planning refuses 0
        return self.preprocessed / dataset.name

    def model(self, dataset: str, trainer: str, plans: str, configuration: str) -> Path:
        return self.results / dataset / f"{trainer}__{plans}__{configuration}"


@dataclass
class Blobs:
    """The data set that most tests use: five scans with two structures, planned in 2d and 3d_fullres."""

    host: Host
    preprocessed: Path
    plans: str  # the text of the plans file as the training found it

    name = "Dataset901_Blobs"
    id = "901"
    trainer = "EASUNetTrainer_tiny"
    configurations = ("2d", "3d_fullres")
    folds = 3  # in place of five: a training takes half a minute
    cases = case_identifiers()

    def train(self, configuration: str, fold: int | str, *more: object, trainer: str = trainer) -> tuple:
        return ("nnUNetv2_train", self.id, configuration, fold, "-tr", trainer, "-device", "cpu", *more)

    def predict(self, images: Path, target: Path, configuration: str, *more: object, trainer: str = trainer) -> tuple:
        command = ("nnUNetv2_predict", "-d", self.id, "-i", images, "-o", target, "-c", configuration, "-tr", trainer)
        return (*command, "-device", "cpu", *more)

    def model(self, configuration: str, trainer: str = trainer, plans: str = "nnUNetPlans") -> Path:
        return self.host.model(self.name, trainer, plans, configuration)

    def images_of_fold(self, fold: int) -> Path:
        """A folder with the scans on which the fold did not train."""
        folder = self.host.folder / f"unseen_{fold}"
        folder.mkdir(exist_ok=True)
        shutil.copy(self.host.raw / self.name / "imagesTr" / f"{self.cases[fold]}_0000.nii.gz", folder)
        return folder


@pytest.fixture(scope="session")
def host(tmp_path_factory) -> Host:
    return Host(tmp_path_factory.mktemp("host") / "user")


@pytest.fixture(scope="session")
def blobs(host) -> Blobs:
    dataset = write_scans(host.raw / Blobs.name, labels=LABELS)
    preprocessed = host.plan_and_preprocess(dataset, list(Blobs.configurations))
    # Fold i validates on case i. nnU-Net would write such a file itself, but twice where two trainings start together.
    splits = [{"train": [c for c in Blobs.cases if c != case], "val": [case]} for case in Blobs.cases[: Blobs.folds]]
    (preprocessed / "splits_final.json").write_text(json.dumps(splits), encoding="utf-8")
    return Blobs(host, preprocessed, (preprocessed / "nnUNetPlans.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def fold_0(blobs) -> Blobs:
    """The data set with fold 0 of both configurations trained by EASUNetTrainer_tiny."""
    blobs.host.run(*blobs.train("2d", 0, "--npz"), PYTHONPATH=None)  # with pools of processes, as a user has them
    blobs.host.run(*blobs.train("3d_fullres", 0, "--npz"))
    return blobs


@pytest.fixture(scope="session")
def predictions(fold_0) -> dict[str, Path]:
    """Per configuration, the folder of what nnUNetv2_predict makes of the scan that fold 0 did not train on."""
    folders = {c: fold_0.host.folder / f"predicted_{c}" for c in fold_0.configurations}
    images = fold_0.images_of_fold(0)
    processes = {"2d": ("-npp", 1, "-nps", 1), "3d_fullres": ()}  # a user has some
    fold_0.host.run_together(*[fold_0.predict(images, folders[c], c, "-f", 0, *processes[c]) for c in folders])
    return folders


@pytest.fixture
def new_trainer(blobs, tmp_path, monkeypatch):
    """Builds a trainer on the planned dataset, with a results folder for each test."""
    monkeypatch.setenv("nnUNet_preprocessed", str(blobs.host.preprocessed))
    monkeypatch.setenv("nnUNet_results", str(tmp_path / "results"))
    monkeypatch.setenv("nnUNet_n_proc_DA", "0")

    def build(trainer=EASUNetTrainer, configuration="2d", *, plans=None, dataset_json=None, device="cpu"):
        given = json.loads(blobs.plans) if plans is None else plans
        described = json.loads((blobs.preprocessed / "dataset.json").read_text(encoding="utf-8"))
        # as nnUNetv2_train calls it
        return trainer(
            plans={**given, "continue_training": False},
            configuration=configuration,
            fold=0,
            dataset_json=described if dataset_json is None else dataset_json,
            device=torch.device(device),
        )

    return build
