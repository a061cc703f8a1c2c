"""A tiny trained model with all files around it, on which the checks of faults work: made once, by commands."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from benchmarks.commands import call, folder_variables
from nnunet_eas.phantom import knee
from nnunet_eas.phantom_archive import write_archive
from nnunet_eas.support.files import write_json

ID, NAME = "1", "Dataset001_Faults"
TRAINER, PLANS, CONFIGURATION = "EASUNetTrainer_demo", "nnUNetPlans", "2d"
FOLDS = ("0", "1")
SHAPE, SPACING = (26, 30, 9), (3.6, 3.7, 10.0)  # of a knee, (z, y, x), in voxels and mm
SCANS = 12


@dataclass(frozen=True)
class FaultBench:
    """Folders below `work`: a converted and preprocessed dataset, two trained folds, scans, masks, a packed model."""

    work: Path

    @property
    def raw(self) -> Path:
        """The dataset in nnU-Net's raw layout."""
        return self.work / "raw" / NAME

    @property
    def preprocessed(self) -> Path:
        """The dataset, preprocessed."""
        return self.work / "preprocessed" / NAME

    @property
    def model(self) -> Path:
        """The trained model's folder."""
        return self.work / "results" / NAME / f"{TRAINER}__{PLANS}__{CONFIGURATION}"

    @property
    def cases(self) -> list[str]:
        """Names of the scans in `scans`, whose masks are in `truth` and, as predicted, in `masks`."""
        return [f"knee_{number:02d}" for number in range(SCANS)]

    def environment(self, work: Path | None = None) -> dict[str, str]:
        """A user's variables, with nnU-Net's folders below the bench, or below another folder."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("nnUNet", "NNUNET"))}
        few = {"nnUNet_n_proc_DA": "1", "nnUNet_def_n_proc": "1", "OMP_WAIT_POLICY": "PASSIVE"}
        path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
        return {**inherited, **few, **folder_variables(work or self.work), "PATH": path}

    def prepare(self) -> None:
        """Makes what is missing."""
        steps: dict[str, Sequence[str]] = {
            "convert": [
                *("nnunet-eas", "convert", "oai-zib", "--archive", f"{self.work}/knees/archive"),
                *("--mri", f"{self.work}/knees/mri", "-d", ID, "--name", NAME.partition("_")[2]),
                *("--output", f"{self.work}/raw", "--labels", "cartilage-and-bone"),
            ],
            "plan": ["nnunet-eas", "plan_and_preprocess", "-d", ID, "-c", CONFIGURATION, "-np", "1", "-npfp", "1"],
            "train": [
                *("nnunet-eas", "crossval", "-d", ID, "-c", CONFIGURATION, "-p", PLANS, "-tr", TRAINER),
                *("--folds", *FOLDS, "-device", "cpu", "--workers", "1"),
            ],
            "predict": [
                *("nnunet-eas", "predict", "-i", f"{self.work}/scans", "-o", f"{self.work}/masks"),
                *("-m", str(self.model), "-f", "0", "-device", "cpu", "--engine", "torch"),
            ],
            "pack": ["nnunet-eas", "pack", str(self.model), "-o", f"{self.work}/model.nnunet.zip"],
        }
        if not (self.work / "scans").is_dir():
            self._draw()
        for name, command in steps.items():
            done = self.work / "done" / name
            if done.is_file():
                continue
            if name == "plan":
                command = [*command, "-overwrite_plans_name", PLANS]
            if name == "train":
                self._shorten()
            call(self.work, command)
            done.parent.mkdir(exist_ok=True)
            done.touch()

    def _draw(self) -> None:
        write_archive(self.work / "knees", cases=6, seed=11, shape=SHAPE, spacing=SPACING)
        for folder in ("truth", "scans_"):
            (self.work / folder).mkdir(parents=True, exist_ok=True)
        for seed, case in enumerate(self.cases):
            drawn = knee(seed=100 + seed, shape=SHAPE, spacing=SPACING)
            write_image(drawn.image, self.work / "scans_" / f"{case}_0000.nii.gz")
            write_image(drawn.segmentation, self.work / "truth" / f"{case}.nii.gz")
        (self.work / "scans_").rename(self.work / "scans")

    def _shorten(self) -> None:
        """Two folds in place of five, and small batches."""
        plans = self.preprocessed / f"{PLANS}.json"
        content = json.loads(plans.read_text(encoding="utf-8"))
        content["configurations"][CONFIGURATION]["batch_size"] = 4
        write_json(plans, content)
        cases = sorted(file.name.removesuffix(".nii.gz") for file in (self.raw / "labelsTr").glob("*.nii.gz"))
        validation = [cases[:2], cases[2:4]]
        split = [{"train": [c for c in cases if c not in fold], "val": fold} for fold in validation]
        write_json(self.preprocessed / "splits_final.json", split)


def write_image(array: np.ndarray, path: Path, spacing: Sequence[float] = SPACING) -> None:
    """Writes an array (z, y, x) with its spacing in mm, in the same order."""
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(tuple(spacing[::-1]))
    sitk.WriteImage(image, str(path), useCompression=True)


def read_array(path: Path) -> np.ndarray:
    """The voxels of an image, (z, y, x)."""
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def read_rows(path: Path) -> dict:
    """Reads the outcomes of an earlier call; none where there was no such call."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
