"""The real use on real data, command by command: plan, train, predict what the fold did not train on, compare.

    python benchmarks/walkthrough.py --dataset .../Dataset004_Hippocampus --work DIR --out RESULT.json

Run it with the Python of the environment to be tried. The predictions are compared, voxel by voxel, with those that the
training's own validation wrote. Batch sizes are lowered in the plan; where --iterations lowers the iterations an epoch,
a user's trainer of the same name does it, found through nnUNet_extTrainer in front of ours.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import time
from pathlib import Path

import environment
import SimpleITK as sitk
from host_commands import by_name, call, plan, with_trainers, write_json

import nnunet_eas

TRAINER = "EASUNetTrainer_5epochs"


def main() -> None:
    """Walks through every configuration and writes what was seen."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--dataset", type=Path, required=True, help="a dataset in nnU-Net's raw layout, DatasetXXX_NAME"
    )
    parser.add_argument(
        "--work", type=Path, required=True, help="folder for nnU-Net's three folders; removed parts redo"
    )
    parser.add_argument("--out", type=Path, required=True, help="the JSON to write")
    parser.add_argument("--batch", nargs="+", default=["2d=12", "3d_fullres=2"], help="CONFIGURATION=SIZE")
    parser.add_argument("--iterations", nargs="*", default=["3d_fullres=25"], help="CONFIGURATION=ITERATIONS an epoch")
    parser.add_argument("--plans", choices=("nnUNetPlans", "EASUNetPlans"), default="nnUNetPlans")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()

    batches = {k: int(v) for k, v in by_name(args.batch).items()}
    iterations = by_name(args.iterations)
    commands = plan(args.work, args.dataset, batches, plans_name=args.plans)
    found = [walk(args, configuration, iterations.get(configuration)) for configuration in batches]
    content = {
        "dataset": args.dataset.name,
        "installed_from": "site-packages" if "site-packages" in nnunet_eas.__file__ else "source folder",
        "commands": [" ".join(command) for command in commands],
        "batch_size_in_plan": batches,
        "configurations": found,
        "environment": environment.describe(),
    }
    write_json(args.out, content)


def walk(args: argparse.Namespace, configuration: str, iterations: str | None) -> dict:
    """Trains, predicts and compares one configuration."""
    variables = {} if iterations is None else with_trainers(shorter_trainer(args.work / "trainers", iterations))
    model = args.work / "results" / args.dataset.name / f"{TRAINER}__{args.plans}__{configuration}"
    train = ["nnUNetv2_train", str(int(args.dataset.name[7:10])), configuration, "0", "-tr", TRAINER]
    more = [] if args.plans == "nnUNetPlans" else ["-p", args.plans]
    train += [*more, "-device", args.device]
    start = time.time()
    if not (model / "fold_0" / "validation" / "summary.json").is_file():
        call(args.work, train, **variables)
    trained = time.time()

    raw = args.work / "raw" / args.dataset.name
    ending = json.loads((raw / "dataset.json").read_text())["file_ending"]
    validation = sorted((model / "fold_0" / "validation").glob(f"*{ending}"))
    scans, masks = (args.work / f"{what}_{args.plans}_{configuration}" for what in ("scans", "masks"))
    shutil.rmtree(scans, ignore_errors=True)
    scans.mkdir(parents=True)
    for case in validation:
        for channel in (raw / "imagesTr").glob(f"{case.name[: -len(ending)]}_????{ending}"):
            os.symlink(channel.resolve(), scans / channel.name)
    predict = ["nnUNetv2_predict", "-i", "SCANS", "-o", "MASKS", "-d", train[1], "-c", configuration, "-tr", TRAINER]
    predict += [*more, "-f", "0", "-device", args.device]
    call(args.work, [{"SCANS": str(scans), "MASKS": str(masks)}.get(part, part) for part in predict], **variables)

    summary = json.loads((model / "fold_0" / "validation" / "summary.json").read_text())
    plans = json.loads((model / "plans.json").read_text())
    return {
        "configuration": configuration,
        "iterations_an_epoch": int(iterations or 250),
        "commands": [" ".join(train), " ".join(predict)],
        "network_in_saved_plan": plans["configurations"][configuration]["architecture"]["network_class_name"],
        "seconds_training_and_validation": round(trained - start),
        "seconds_prediction": round(time.time() - trained),
        "mean_validation_dice": summary["foreground_mean"]["Dice"],
        "dice_per_label": {label: m["Dice"] for label, m in summary["mean"].items()},
        **agreement(validation, masks),
    }


def shorter_trainer(folder: Path, iterations: str) -> Path:
    """A user's own trainer folder: our trainer under its own name, with fewer iterations an epoch."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "shorter.py").write_text(
        "import os\n\nimport torch\nfrom nnunet_eas import trainer\n\n\n"
        f"class {TRAINER}(trainer.{TRAINER}):\n"
        "    def __init__(self, plans, configuration, fold, dataset_json, device):\n"
        "        super().__init__(plans, configuration, fold, dataset_json, device)\n"
        f"        self.num_iterations_per_epoch = {iterations}\n"
        "        torch.set_num_threads(int(os.environ.get('BENCHMARK_THREADS', torch.get_num_threads())))\n"
    )
    return folder


def agreement(validation: list[Path], masks: Path) -> dict:
    """Share of voxels in which the predictions equal the training's own validation."""
    voxels = different = 0
    cases = {}
    for case in validation:
        a, b = (sitk.GetArrayFromImage(sitk.ReadImage(str(path))) for path in (case, masks / case.name))
        voxels += a.size
        different += int((a != b).sum())
        if (a != b).any():
            cases[case.name] = int((a != b).sum())
    return {
        "cases": len(validation),
        "voxels": voxels,
        "different_voxels": different,
        "cases_that_differ": cases,
        "equal_share": 1 - different / voxels,
    }


if __name__ == "__main__":
    main()
