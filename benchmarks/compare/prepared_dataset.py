"""A dataset prepared for a comparison: preprocessed once, one split, one batch size, a plans file for every network."""

from __future__ import annotations

import hashlib
import json
import shutil
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.commands import call
from benchmarks.compare.networks import Network
from nnunet_eas.support.files import write_json
from nnunet_eas.support.locks import locked

PLANS = {"ExperimentPlanner": "nnUNetPlans", "nnUNetPlannerResEncM": "nnUNetResEncUNetMPlans"}
"""The plans file of each planner."""


@dataclass(frozen=True)
class Sizes:
    """Batch and patch of all networks.

    Attributes:
        batch_size: None for the batch of the default plan.
        patch_size: In voxels; None for the patch of each network's own plan.
    """

    batch_size: int | None = None
    patch_size: tuple[int, ...] | None = None


def sizes_of(configurations: list[str], batches: list[str], patches: list[str]) -> dict[str, Sizes]:
    """The sizes of each configuration, from a command line's CONFIGURATION=SIZE and CONFIGURATION=EDGExEDGE."""
    batch, patch = (dict(item.split("=", 1) for item in items) for items in (batches, patches))
    return {
        name: Sizes(
            int(batch[name]) if name in batch else None,
            tuple(map(int, patch[name].split("x"))) if name in patch else None,
        )
        for name in configurations
    }


class PreparedDataset:
    """nnU-Net's folders for one dataset below `work`, with all that its trainings share.

    Args:
        dataset: A folder in nnU-Net's raw layout.
        work: The folder below which raw, preprocessed and results are written.
        sizes: Batch and patch of each configuration.
    """

    def __init__(self, dataset: Path, work: Path, sizes: dict[str, Sizes]) -> None:
        if not (dataset / "dataset.json").is_file():
            raise SystemExit(
                f"--datasets must be folders DatasetXXX_NAME with a dataset.json, got {dataset}. Correct the path."
            )
        self.dataset = dataset
        self.work = work / dataset.name
        self.sizes = sizes
        with self._lock():
            for configuration in sizes:
                self._preprocess(configuration)
            if _hash_of_files(dataset).digest() != _hash_of_files(self.work / "raw" / dataset.name).digest():
                raise SystemExit(
                    f"--work must have been prepared from {dataset} as it is now, got {self.work}, whose data differ. "
                    "Give another folder, or remove that one."
                )
            self._write_split()
        self.data = self._data_fingerprint()

    @property
    def preprocessed(self) -> Path:
        """The dataset's preprocessed folder."""
        return self.work / "preprocessed" / self.dataset.name

    @property
    def references(self) -> Path:
        """The masks of all training cases."""
        return self.preprocessed / "gt_segmentations"

    @property
    def split(self) -> list[dict[str, list[str]]]:
        """The folds."""
        return json.loads((self.preprocessed / "splits_final.json").read_text())

    def configuration(self, name: str, network: Network, configuration: str) -> dict[str, Any]:
        """Writes a network's plans file, where it is missing or outdated, and returns one of its configurations."""
        plans = json.loads(self._plans_file(network.planner).read_text())
        default = json.loads(self._plans_file("ExperimentPlanner").read_text())
        for each, sizes in self.sizes.items():
            planned = plans["configurations"][each]
            planned["batch_size"] = sizes.batch_size or default["configurations"][each]["batch_size"]
            planned["patch_size"] = list(sizes.patch_size or planned["patch_size"])
        if network.is_eas:  # the recipe then names the network that is trained
            from nnunet_eas.plans.translation import translate_plans

            plans = translate_plans(plans)  # after the patch is set, because the rates depend on it
        plans["plans_name"] = name
        for each in self.sizes:
            planned = plans["configurations"][each]
            for switch, value in network.switches.items():
                chosen = value[len(planned["patch_size"])] if isinstance(value, dict) else value
                planned["architecture"]["arch_kwargs"][switch] = chosen
        file = self.preprocessed / f"{name}.json"
        with self._lock():
            before = json.loads(file.read_text()) if file.is_file() else None
            for each, planned in (before or plans)["configurations"].items():
                if each not in self.sizes:  # written by another runner, whose trainings may be about to start
                    plans["configurations"][each] = planned
            if before != plans:
                write_json(file, plans)
        return plans["configurations"][configuration]

    def planned(self, network: Network, configuration: str) -> dict[str, Any]:
        """Batch and patch that the network's planner chose."""
        one = json.loads(self._plans_file(network.planner).read_text())["configurations"][configuration]
        return {name: one[name] for name in ("batch_size", "patch_size")}

    def _preprocess(self, configuration: str) -> None:
        done = self.work / f"planned_nnUNetPlans_{configuration}"
        if not done.is_file():
            print(f"planning and preprocessing {self.dataset.name}: {configuration}", flush=True)
            shutil.copytree(self.dataset, self.work / "raw" / self.dataset.name, dirs_exist_ok=True)
            command = ["nnUNetv2_plan_and_preprocess", "-d", str(int(self.dataset.name[7:10])), "-c", configuration]
            call(self.work, [*command, "--verify_dataset_integrity", "-np", "2", "-npfp", "2"])
            done.touch()

    def _plans_file(self, planner: str) -> Path:
        file = self.preprocessed / f"{PLANS[planner]}.json"
        if not file.is_file():
            call(self.work, ["nnUNetv2_plan_experiment", "-d", self.dataset.name[7:10], "-pl", planner])
        return file

    def _write_split(self) -> None:
        """Writes nnU-Net's own split before its first training would, because results are told apart by it."""
        file = self.preprocessed / "splits_final.json"
        if not file.is_file():
            from nnunetv2.utilities.crossval_split import generate_crossval_split

            cases = sorted(path.name.split(".")[0] for path in self.references.iterdir())
            write_json(file, generate_crossval_split(cases))

    def _data_fingerprint(self) -> str:
        digest = _hash_of_files(self.dataset)
        digest.update(json.dumps(self.split).encode())
        return digest.hexdigest()[:16]

    def _lock(self) -> AbstractContextManager[Any]:
        """Keeps other processes from preparing the same folder at the same time."""
        return locked(self.work / "prepared.lock", wait_s=-1)


def _hash_of_files(folder: Path) -> hashlib._Hash:
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(file.relative_to(folder).as_posix().encode())
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest
