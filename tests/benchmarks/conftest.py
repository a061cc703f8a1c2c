"""The trainers of the benchmarks, which are no package, and a tiny dataset that is ready to train."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from arms import ARMS, TRAINERS
from prepared import Prepared, Sizes
from tiny_dataset import LABELS, write_scans

CONFIGURATIONS = ("2d", "3d_fullres")
BATCH = 2


@dataclass
class Tiny:
    """Five tiny scans below `data`, preprocessed below `work`, as runner.py takes and leaves them."""

    root: Path

    name = "Dataset905_Blobs"

    def __post_init__(self) -> None:
        self.dataset, self.work = self.root / "data" / self.name, self.root / "work"
        self.preprocessed = self.work / self.name / "preprocessed" / self.name

    def prepared(self, batch_size: int | None = BATCH, patch_size: tuple[int, ...] | None = None) -> Prepared:
        return Prepared(self.dataset, self.work, {"2d": Sizes(batch_size, patch_size)})

    def environment(self, results: Path, **variables: object) -> dict[str, str]:
        """What nnU-Net and the trainers ask for."""
        folder = self.work / self.name
        return {
            "nnUNet_raw": str(folder / "raw"),
            "nnUNet_preprocessed": str(folder / "preprocessed"),
            "nnUNet_results": str(results),
            "nnUNet_extTrainer": str(TRAINERS),
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
        """One of nnU-Net's commands, as it is typed."""
        program, *arguments = map(str, command)
        completed = subprocess.run(
            [str(Path(sys.executable).parent / program), *arguments],
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
    # what preprocess() does, but with one process for all configurations: it takes a quarter of the time
    command = ("nnUNetv2_plan_and_preprocess", "-d", 905, "-c", *CONFIGURATIONS, "-np", 1, "-npfp", 1)
    made.run(*command, results=made.root / "results", nnUNet_n_proc_DA=1)  # planning refuses 0
    for configuration in CONFIGURATIONS:
        (made.work / made.name / f"planned_nnUNetPlans_{configuration}").touch()
    return made


@pytest.fixture(scope="session")
def trainer_module() -> Iterator[Callable[[str], Any]]:
    """Imports a file of benchmarks/trainers as nnU-Net does, whose names would be in everybody's way afterwards."""
    names = {path.stem for path in TRAINERS.glob("*.py")}
    assert not names & set(sys.modules)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(TRAINERS))
        yield importlib.import_module
    for name in names:
        sys.modules.pop(name, None)


@pytest.fixture
def new_trainer(tiny, trainer_module, tmp_path, monkeypatch):
    """Builds a trainer as nnUNetv2_train does; its results go to a folder of the test's own."""
    threads = torch.get_num_threads()

    def build(arm: str = "default", *, results: str = "results", **variables: object):
        for name, value in tiny.environment(tmp_path / results, **{"BENCHMARK_SEED": 0, **variables}).items():
            monkeypatch.setenv(name, value)
        tiny.prepared().configuration(arm, ARMS[arm], "2d")
        trainer = getattr(trainer_module("short"), f"{ARMS[arm].trainer}_short")
        plans = json.loads((tiny.preprocessed / f"{arm}.json").read_text())
        return trainer(
            plans={**plans, "continue_training": False},
            configuration="2d",
            fold=0,
            dataset_json=json.loads((tiny.dataset / "dataset.json").read_text()),
            device=torch.device("cpu"),
        )

    yield build
    torch.set_num_threads(threads)
