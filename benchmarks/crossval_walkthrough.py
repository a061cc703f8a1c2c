r"""crossval and predict-best on a real dataset, against nnU-Net's own commands typed by hand.

    python benchmarks/crossval_walkthrough.py --dataset .../Dataset004_Hippocampus --work DIR --out RESULT.json

Trains five folds of 2d and 3d_fullres on a short schedule with `nnunet-eas crossval`, then counts voxels that differ

    own_validation: between each fold's validation masks and `nnunet-eas predict` of the same cases with the same fold
    by_hand: between `nnunet-eas predict-best` and what inference_instructions.txt tells one to type, on --scans cases

`best_is_nnunets` says whether find_best_configuration, run again by hand, finds the same numbers. Networks run in
PyTorch, in single precision. A second call does only what is missing.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
from pathlib import Path
from typing import Any

import environment
import numpy as np
import SimpleITK as sitk
from arms import ARMS, TRAINERS
from host_commands import call, with_trainers, write_json
from prepared import Prepared, Sizes

TRAINER, PLANS, RESULTS = "EASUNetTrainer_short", "eas", "crossval"
SIZES = {"2d": Sizes(12), "3d_fullres": Sizes(2, (24, 32, 24))}


def main() -> None:
    """Trains, predicts, compares, writes the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, required=True, help="DatasetXXX_NAME, nnU-Net's raw layout")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--iterations", type=int, default=20, help="an epoch")
    parser.add_argument("--scans", type=int, default=20, help="the first of the training cases, for predict-best")
    parser.add_argument("--device", default="cpu", choices=("cuda", "cpu"))
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    os.environ.update(with_trainers(TRAINERS), BENCHMARK_THREADS="1", OMP_NUM_THREADS="1")
    os.environ.update(BENCHMARK_EPOCHS=str(args.epochs), BENCHMARK_ITERATIONS=str(args.iterations))
    os.environ.update(BENCHMARK_VAL_ITERATIONS="2", BENCHMARK_SEED="0")

    prepared = Prepared(args.dataset, args.work, SIZES)
    for configuration in SIZES:
        prepared.configuration(PLANS, ARMS["eas"], configuration)
    os.environ["nnUNet_n_proc_DA"] = "0"  # for trainings; planning refuses it
    crossval = ["nnunet-eas", "crossval", "-d", args.dataset.name, "-c", *SIZES, "-tr", TRAINER, "-p", PLANS]
    call(prepared.work, [*crossval, "-device", args.device, "--workers", str(args.workers)], RESULTS)
    results = prepared.work / RESULTS / args.dataset.name
    ours = json.loads((results / "inference_information.json").read_text())
    by_hand = ["nnUNetv2_find_best_configuration", args.dataset.name, "-c", *SIZES, "-tr", TRAINER, "-p", PLANS]
    call(prepared.work, by_hand, RESULTS)
    theirs = json.loads((results / "inference_information.json").read_text())

    content = {
        "dataset": args.dataset.name,
        "iterations": args.epochs * args.iterations,
        "command": " ".join(crossval),
        "best_is_nnunets": ours == theirs,
        "dice": ours["all_results"],
        "chosen": ours["best_model_or_ensemble"]["selected_model_or_models"],
        "own_validation": [
            own_validation(prepared, results, configuration, fold, args.device)
            for configuration in SIZES
            for fold in range(len(prepared.split))
        ],
        "by_hand": predict_best(prepared, results, args),
        "environment": environment.describe(),
    }
    write_json(args.out, content)
    print(json.dumps({key: content[key] for key in ("best_is_nnunets", "dice", "chosen", "by_hand")}, indent=1))


def own_validation(prepared: Prepared, results: Path, configuration: str, fold: int, device: str) -> dict[str, Any]:
    """The fold's model on the cases that it validated on."""
    model = results / f"{TRAINER}__{PLANS}__{configuration}"
    scans = links(prepared, prepared.split[fold]["val"], f"fold_{fold}")
    masks = prepared.work / "crossval_masks" / f"{configuration}_{fold}"
    command = ["nnunet-eas", "predict", "-m", str(model), "-f", str(fold), "-i", str(scans), "-o", str(masks)]
    call(prepared.work, [*command, "-device", device, "--engine", "torch", "--continue_prediction"], RESULTS)
    return {
        "configuration": configuration,
        "fold": fold,
        **differences(masks, model / f"fold_{fold}" / "validation"),
    }


def predict_best(prepared: Prepared, results: Path, args: argparse.Namespace) -> dict[str, Any]:
    """predict-best, and nnU-Net's instructions line by line."""
    cases = sorted(case for fold in prepared.split for case in fold["val"])[: args.scans]
    scans, masks = links(prepared, cases, "best"), prepared.work / "crossval_masks"
    command = ["nnunet-eas", "predict-best", "-d", args.dataset.name, "-i", str(scans), "-o", str(masks / "best")]
    call(prepared.work, [*command, "-device", args.device, "--engine", "torch"], RESULTS)
    folders = {"INPUT_FOLDER": scans, "OUTPUT_FOLDER_PP": masks / "by_hand"}
    typed = []
    for line in (results / "inference_instructions.txt").read_text().splitlines():
        if not line.startswith("nnUNetv2_"):
            continue
        words = [
            str(folders.get(word, masks / f"by_hand_{word}" if word.startswith("OUTPUT_FOLDER") else word))
            for word in shlex.split(line)
        ]
        words += ["-device", args.device] if words[0] == "nnUNetv2_predict" else []
        call(prepared.work, words, RESULTS)
        typed.append(line.split()[0])
    return {"commands": typed, **differences(masks / "best", masks / "by_hand")}


def links(prepared: Prepared, cases: list[str], name: str) -> Path:
    """A folder with links to the cases' scans."""
    folder = prepared.work / "crossval_scans" / name
    folder.mkdir(parents=True, exist_ok=True)
    for case in cases:
        for scan in (prepared.work / "raw" / prepared.dataset.name / "imagesTr").glob(f"{case}_????.*"):
            link = folder / scan.name
            if not link.exists():
                link.symlink_to(scan.resolve())
    return folder


def differences(masks: Path, references: Path) -> dict[str, int]:
    """Cases, voxels, and how many of them differ."""
    found = sorted(masks.glob("*.nii.gz"))
    voxels = differ = 0
    for file in found:
        a, b = (sitk.GetArrayFromImage(sitk.ReadImage(str(folder / file.name))) for folder in (masks, references))
        voxels += a.size
        differ += int(np.sum(a != b))
    return {"cases": len(found), "voxels": voxels, "voxels_that_differ": differ}


if __name__ == "__main__":
    main()
