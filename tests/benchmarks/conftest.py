"""A tiny dataset that is ready to train, and trainers on it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from tiny_dataset import LABELS, write_scans

from benchmarks.commands import folder_variables, trainer_variables
from benchmarks.compare.networks import NETWORKS
from benchmarks.compare.prepared_dataset import PreparedDataset, Sizes
from nnunet_eas.support.nnunet_commands import command_line

CONFIGURATIONS = ("2d", "3d_fullres")
BATCH = 2


@dataclass
class Tiny:
    """Five tiny scans below `data`, preprocessed below `work`, as the runner takes and leaves them."""

    root: Path

    name = "Dataset905_Blobs"

    def __post_init__(self) -> None:
        self.dataset, self.work = self.root / "data" / self.name, self.root / "work"
        self.preprocessed = self.work / self.name / "preprocessed" / self.name

    def prepared(self, batch_size: int | None = BATCH, patch_size: tuple[int, ...] | None = None) -> PreparedDataset:
        return PreparedDataset(self.dataset, self.work, {"2d": Sizes(batch_size, patch_size)})

    def environment(self, results: Path, **variables: object) -> dict[str, str]:
        """The variables that nnU-Net and the trainers need."""
        return {
            **folder_variables(self.work / self.name),
            **trainer_variables(),
            "nnUNet_results": str(results),
            "nnUNet_n_proc_DA": "0",
            "nnUNet_def_n_proc": "1",
            "BENCHMARK_EPOCHS": "3",
            "BENCHMARK_ITERATIONS": "2",
            "BENCHMARK_VAL_ITERATIONS": "1",
            "BENCHMARK_THREADS": "1",
            "OMP_NUM_THREADS": "1",
            **{name: str(value) for name, value in variables.items()},
        }

    def run(self, *command: object, results: Path, **variables: object) -> None:
        """Runs one of nnU-Net's commands as a user types it."""
        completed = subprocess.run(
            command_line(*map(str, command)),
            env={**os.environ, **self.environment(results, **variables)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        assert completed.returncode == 0, completed.stdout + completed.stderr


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Tiny:
    made = Tiny(tmp_path_factory.mktemp("tiny"))
    write_scans(made.dataset, labels=LABELS)
    shutil.copytree(made.dataset, made.work / made.name / "raw" / made.name)
    # as PreparedDataset does, but one process for all configurations takes a quarter of the time
    command = ("nnUNetv2_plan_and_preprocess", "-d", 905, "-c", *CONFIGURATIONS, "-np", 1, "-npfp", 1)
    made.run(*command, results=made.root / "results", nnUNet_n_proc_DA=1)  # planning refuses 0
    for configuration in CONFIGURATIONS:
        (made.work / made.name / f"planned_nnUNetPlans_{configuration}").touch()
    return made


@pytest.fixture
def new_trainer(tiny, tmp_path, monkeypatch):
    """Builds a trainer as nnUNetv2_train does; its results go to a folder of the test's own."""
    from benchmarks.trainers import short

    threads = torch.get_num_threads()

    def build(network: str = "default", *, results: str = "results", **variables: object):
        for name, value in tiny.environment(tmp_path / results, **{"BENCHMARK_SEED": 0, **variables}).items():
            monkeypatch.setenv(name, value)
        tiny.prepared().configuration(network, NETWORKS[network], "2d")
        plans = json.loads((tiny.preprocessed / f"{network}.json").read_text())
        return getattr(short, f"{NETWORKS[network].trainer}_short")(
            plans={**plans, "continue_training": False},
            configuration="2d",
            fold=0,
            dataset_json=json.loads((tiny.dataset / "dataset.json").read_text()),
            device=torch.device("cpu"),
        )

    yield build
    torch.set_num_threads(threads)
