"""A dataset made ready for a comparison: preprocessed once, a split, the same batch for all, a plans file per arm."""

from __future__ import annotations

import fcntl
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arms import Arm
from host_commands import by_name, call, preprocess, write_json

PLANS = {"ExperimentPlanner": "nnUNetPlans", "nnUNetPlannerResEncM": "nnUNetResEncUNetMPlans"}


@dataclass(frozen=True)
class Sizes:
    """What a step takes, for all arms; None is the default plan's batch, and each plan's own patch."""

    batch_size: int | None = None
    patch_size: tuple[int, ...] | None = None


def sizes_of(configurations: list[str], batches: list[str], patches: list[str]) -> dict[str, Sizes]:
    """Per configuration, from a command line's CONFIGURATION=SIZE and CONFIGURATION=EDGExEDGE."""
    batch, patch = by_name(batches), by_name(patches)
    return {
        name: Sizes(
            int(batch[name]) if name in batch else None,
            tuple(map(int, patch[name].split("x"))) if name in patch else None,
        )
        for name in configurations
    }


class Prepared:
    """nnU-Net's folders for one dataset below `work`, with everything that its trainings share.

    Args:
        dataset: A folder in nnU-Net's raw layout.
        work: Where raw, preprocessed and results go.
        sizes: Per configuration.
    """

    def __init__(self, dataset: Path, work: Path, sizes: dict[str, Sizes]) -> None:
        self.dataset = dataset
        self.work = work / dataset.name
        self.sizes = sizes
        with self._alone():
            for configuration in sizes:
                preprocess(self.work, dataset, [configuration])
            if _of_files(dataset).digest() != _of_files(self.work / "raw" / dataset.name).digest():
                raise SystemExit(
                    f"--work must have been made from {dataset} as it is, got {self.work}, whose data differ. "
                    "Give another folder, or remove that one."
                )
            self._split_file()
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

    def configuration(self, name: str, arm: Arm, configuration: str) -> dict[str, Any]:
        """Writes an arm's plans file under the arm's name, unless it is there, and returns its configuration."""
        plans = json.loads(self._planned_by(arm.planner).read_text())
        default = json.loads(self._planned_by("ExperimentPlanner").read_text())
        for of, sizes in self.sizes.items():
            one = plans["configurations"][of]
            one["batch_size"] = sizes.batch_size or default["configurations"][of]["batch_size"]
            one["patch_size"] = list(sizes.patch_size or one["patch_size"])
        if arm.of_eas and arm.switches:
            from nnunet_eas.plans.translation import translate_plans

            plans = translate_plans(plans)  # of the sizes above: rates go by the patch
        plans["plans_name"] = name
        for of in self.sizes:
            one = plans["configurations"][of]
            for switch, value in arm.switches.items():
                chosen = value[len(one["patch_size"])] if isinstance(value, dict) else value
                one["architecture"]["arch_kwargs"][switch] = chosen
        file = self.preprocessed / f"{name}.json"
        with self._alone():
            there = json.loads(file.read_text()) if file.is_file() else plans
            others = {of: one for of, one in there["configurations"].items() if of not in self.sizes}
            plans["configurations"].update(others)  # another runner's, whose trainings may be about to start
            if not file.is_file() or there != plans:
                write_json(file, plans)
        return plans["configurations"][configuration]

    def planned(self, arm: Arm, configuration: str) -> dict[str, Any]:
        """Batch and patch as the arm's planner has them."""
        one = json.loads(self._planned_by(arm.planner).read_text())["configurations"][configuration]
        return {name: one[name] for name in ("batch_size", "patch_size")}

    def _planned_by(self, planner: str) -> Path:
        file = self.preprocessed / f"{PLANS[planner]}.json"
        if not file.is_file():
            call(self.work, ["nnUNetv2_plan_experiment", "-d", self.dataset.name[7:10], "-pl", planner])
        return file

    def _split_file(self) -> None:
        """nnU-Net's own split, which it would write at the first training: part of what tells results apart."""
        file = self.preprocessed / "splits_final.json"
        if not file.is_file():
            from nnunetv2.utilities.crossval_split import generate_crossval_split

            cases = sorted(path.name.split(".")[0] for path in self.references.iterdir())
            write_json(file, generate_crossval_split(cases))

    def _data_fingerprint(self) -> str:
        """Of every file of the raw dataset, and of the split."""
        digest = _of_files(self.dataset)
        digest.update(json.dumps(self.split).encode())
        return digest.hexdigest()[:16]

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """No other process prepares the same folder meanwhile."""
        self.work.mkdir(parents=True, exist_ok=True)
        with (self.work / "prepared.lock").open("w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            yield


def _of_files(folder: Path) -> hashlib._Hash:
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(file.relative_to(folder).as_posix().encode())
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest
