r"""crossval and predict-best on a real dataset, against nnU-Net's own commands typed by hand.

    python -m benchmarks.checks.walkthrough --dataset .../Dataset004_Hippocampus --work DIR --out RESULT.json

Trains all folds of 2d and 3d_fullres on a short schedule with `nnunet-eas crossval`, then counts voxels that differ

    own_validation: between each fold's validation masks and `nnunet-eas predict` of the same cases with the same fold
    by_hand: between `nnunet-eas predict-best` and the commands of inference_instructions.txt, on --scans cases

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

from benchmarks import environment
from benchmarks.checks.agreement import count_differences
from benchmarks.commands import call, trainer_variables
from benchmarks.compare.networks import NETWORKS
from benchmarks.compare.prepared_dataset import PreparedDataset, sizes_of
from nnunet_eas.support.files import write_json

TRAINER, PLANS, RESULTS = "EASUNetTrainer_short", "eas", "crossval"
CONFIGURATIONS = ["2d", "3d_fullres"]


def main() -> None:
    """Trains, predicts, compares, writes the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, required=True, help="DatasetXXX_NAME, nnU-Net's raw layout")
    parser.add_argument("--work", type=Path, required=True, help="folder for nnU-Net's folders")
    parser.add_argument("--out", type=Path, required=True, help="the JSON to write")
    parser.add_argument("--batch", nargs="*", default=["2d=12", "3d_fullres=2"], help="CONFIGURATION=SIZE")
    parser.add_argument("--patch", nargs="*", default=["3d_fullres=24x32x24"], help="CONFIGURATION=EDGExEDGE...")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--iterations", type=int, default=20, help="per epoch")
    parser.add_argument("--scans", type=int, default=20, help="number of training cases that predict-best predicts")
    parser.add_argument("--device", default="cpu", choices=("cuda", "cpu"))
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    os.environ.update(trainer_variables(), BENCHMARK_THREADS="1", OMP_NUM_THREADS="1")
    os.environ.update(BENCHMARK_EPOCHS=str(args.epochs), BENCHMARK_ITERATIONS=str(args.iterations))
    os.environ.update(BENCHMARK_VAL_ITERATIONS="2", BENCHMARK_SEED="0")

    prepared = PreparedDataset(args.dataset, args.work, sizes_of(CONFIGURATIONS, args.batch, args.patch))
    for configuration in CONFIGURATIONS:
        prepared.configuration(PLANS, NETWORKS["eas"], configuration)
    os.environ["nnUNet_n_proc_DA"] = "0"  # set after planning, which refuses it
    model = ["-c", *CONFIGURATIONS, "-tr", TRAINER, "-p", PLANS]
    crossval = ["nnunet-eas", "crossval", "-d", args.dataset.name, *model]
    call(prepared.work, [*crossval, "-device", args.device, "--workers", str(args.workers)], RESULTS)
    results = prepared.work / RESULTS / args.dataset.name
    ours = json.loads((results / "inference_information.json").read_text())
    call(prepared.work, ["nnUNetv2_find_best_configuration", args.dataset.name, *model], RESULTS)
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
            for configuration in CONFIGURATIONS
            for fold in range(len(prepared.split))
        ],
        "by_hand": predict_best(prepared, results, args),
        "environment": environment.describe(),
    }
    write_json(args.out, content)
    print(json.dumps({key: content[key] for key in ("best_is_nnunets", "dice", "chosen", "by_hand")}, indent=1))


def own_validation(
    prepared: PreparedDataset, results: Path, configuration: str, fold: int, device: str
) -> dict[str, Any]:
    """Predicts the fold's validation cases with its own model, and compares."""
    model = results / f"{TRAINER}__{PLANS}__{configuration}"
    scans = link_scans(prepared, prepared.split[fold]["val"], f"fold_{fold}")
    masks = prepared.work / "crossval_masks" / f"{configuration}_{fold}"
    command = ["nnunet-eas", "predict", "-m", str(model), "-f", str(fold), "-i", str(scans), "-o", str(masks)]
    call(prepared.work, [*command, "-device", device, "--engine", "torch", "--continue_prediction"], RESULTS)
    counts = count_differences(masks, model / f"fold_{fold}" / "validation")
    return {"configuration": configuration, "fold": fold, **counts}


def predict_best(prepared: PreparedDataset, results: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Runs predict-best, and nnU-Net's instructions line by line, and compares."""
    cases = sorted(case for fold in prepared.split for case in fold["val"])[: args.scans]
    scans, masks = link_scans(prepared, cases, "best"), prepared.work / "crossval_masks"
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
    return {"commands": typed, **count_differences(masks / "best", masks / "by_hand")}


def link_scans(prepared: PreparedDataset, cases: list[str], name: str) -> Path:
    """A folder with links to the cases' scans."""
    folder = prepared.work / "crossval_scans" / name
    folder.mkdir(parents=True, exist_ok=True)
    for case in cases:
        for scan in (prepared.work / "raw" / prepared.dataset.name / "imagesTr").glob(f"{case}_????.*"):
            link = folder / scan.name
            if not link.exists():
                link.symlink_to(scan.resolve())
    return folder


if __name__ == "__main__":
    main()
