r"""Masks of `nnunet-eas predict`, engine by engine, against those of nnU-Net's own command with the same model.

    python -m benchmarks.checks.agreement --model MODEL --fold 0 --scans DIR --references DIR --work DIR --name NAME \
        --out RESULT.json

Counts voxels with another label, and the difference of every structure's Dice: of its mean over the cases, and the
largest of one case. A second call does only what is missing.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from benchmarks import environment
from nnunet_eas.support.files import write_json
from nnunet_eas.support.nnunet_commands import command_line

ENGINES = ("torch", "openvino", "openvino-bf16")


def main() -> None:
    """Predicts, compares, and adds a row to the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="TRAINER__PLANS__CONFIGURATION")
    parser.add_argument("--fold", default="0")
    parser.add_argument("--scans", type=Path, required=True, help="CASE_0000.nii.gz and so on")
    parser.add_argument("--references", type=Path, required=True, help="the scans' masks")
    parser.add_argument("--work", type=Path, required=True, help="folder for the predicted masks")
    parser.add_argument("--name", required=True, help="the row's name, such as hippocampus")
    parser.add_argument("--out", type=Path, required=True, help="the JSON to write; its other rows are kept")
    args = parser.parse_args()
    stock = ["nnUNetv2_predict_from_modelfolder", "-npp", "1", "-nps", "1", "--continue_prediction"]
    predict(stock, args, args.work / "stock")
    engines = {}
    for engine in ENGINES:
        ours = args.work / engine
        predict(["nnunet-eas", "predict", "--engine", engine, "--continue_prediction"], args, ours)
        engines[engine] = compare(args.work / "stock", ours, args.references)
        print(args.name, engine, engines[engine], flush=True)
    content = json.loads(args.out.read_text()) if args.out.is_file() else {}
    row = {"model": args.model.name, "fold": args.fold, "engines": engines, "environment": environment.describe()}
    write_json(args.out, {**content, args.name: row})


def predict(command: list[str], args: argparse.Namespace, output: Path) -> None:
    """Predicts all scans with one command."""
    output.mkdir(parents=True, exist_ok=True)
    given = ["-i", args.scans, "-o", output, "-m", args.model, "-f", args.fold, "-device", "cpu"]
    subprocess.run(command_line(*command, *map(str, given)), check=True, stdout=subprocess.DEVNULL)


def compare(stock: Path, ours: Path, references: Path) -> dict[str, Any]:
    """Voxels and Dice that differ, over all masks of nnU-Net's command."""
    counts = count_differences(stock, ours)
    dice: dict[int, list[float]] = {}
    for file in sorted(stock.glob("*.nii.gz")):
        theirs, found, wanted = (read_mask(folder / file.name) for folder in (stock, ours, references))
        for label in np.unique(wanted[wanted > 0]):
            dice.setdefault(int(label), []).append(_dice(found, wanted, label) - _dice(theirs, wanted, label))
    return {
        **counts,
        "share_equal": 1 - counts["voxels_that_differ"] / counts["voxels"],
        "dice_difference_of_means": {label: float(np.mean(values)) for label, values in dice.items()},
        "dice_difference_largest": {label: float(np.abs(values).max()) for label, values in dice.items()},
    }


def count_differences(masks: Path, others: Path) -> dict[str, int]:
    """Cases and voxels of a folder of masks, and how many voxels differ in the other folder."""
    files = sorted(masks.glob("*.nii.gz"))
    voxels = differ = 0
    for file in files:
        a, b = read_mask(file), read_mask(others / file.name)
        voxels += a.size
        differ += int(np.sum(a != b))
    return {"cases": len(files), "voxels": voxels, "voxels_that_differ": differ}


def read_mask(path: Path) -> np.ndarray:
    """The labels of a mask file."""
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def _dice(mask: np.ndarray, wanted: np.ndarray, label: int) -> float:
    both = float(np.sum((mask == label) & (wanted == label)))
    return 2 * both / float(np.sum(mask == label) + np.sum(wanted == label))


if __name__ == "__main__":
    main()
