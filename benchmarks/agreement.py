r"""Masks of `nnunet-eas predict`, engine by engine, against those of nnU-Net's own command with the same model.

    python benchmarks/agreement.py --model MODEL --fold 0 --scans DIR --references DIR --work DIR --out RESULT.json

Counts voxels with another label, and the difference of every structure's Dice: of its mean over the cases, and the
largest of one case. A second call does only what is missing.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import environment
import numpy as np
import SimpleITK as sitk
from host_commands import write_json

ENGINES = ("torch", "openvino", "openvino-bf16")


def main() -> None:
    """Predicts, compares, adds a row to the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="TRAINER__PLANS__CONFIGURATION")
    parser.add_argument("--fold", default="0")
    parser.add_argument("--scans", type=Path, required=True, help="CASE_0000.nii.gz and so on")
    parser.add_argument("--references", type=Path, required=True, help="their masks")
    parser.add_argument("--work", type=Path, required=True, help="folder for the predicted masks")
    parser.add_argument("--name", required=True, help="of the row, as hippocampus")
    parser.add_argument("--out", type=Path, required=True, help="rows of other names in it are kept")
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
    """One command on all scans."""
    output.mkdir(parents=True, exist_ok=True)
    script, *options = command
    given = [*options, "-i", args.scans, "-o", output, "-m", args.model, "-f", args.fold, "-device", "cpu"]
    subprocess.run([Path(sys.executable).parent / script, *map(str, given)], check=True, stdout=subprocess.DEVNULL)


def compare(stock: Path, ours: Path, references: Path) -> dict[str, Any]:
    """Over all cases of the stock command."""
    voxels = differ = 0
    dice: dict[int, list[float]] = {}
    files = sorted(stock.glob("*.nii.gz"))
    for file in files:
        theirs, found, wanted = (
            sitk.GetArrayFromImage(sitk.ReadImage(str(folder / file.name))) for folder in (stock, ours, references)
        )
        voxels += theirs.size
        differ += int(np.sum(theirs != found))
        for label in np.unique(wanted[wanted > 0]):
            dice.setdefault(int(label), []).append(_dice(found, wanted, label) - _dice(theirs, wanted, label))
    return {
        "cases": len(files),
        "voxels": voxels,
        "voxels_that_differ": differ,
        "share_equal": 1 - differ / voxels,
        "dice_difference_of_means": {label: float(np.mean(values)) for label, values in dice.items()},
        "dice_difference_largest": {label: float(np.abs(values).max()) for label, values in dice.items()},
    }


def _dice(mask: np.ndarray, wanted: np.ndarray, label: int) -> float:
    both = float(np.sum((mask == label) & (wanted == label)))
    return 2 * both / float(np.sum(mask == label) + np.sum(wanted == label))


if __name__ == "__main__":
    main()
