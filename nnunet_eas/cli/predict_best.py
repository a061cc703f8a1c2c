"""`nnunet-eas predict-best`: prediction with what crossval found best."""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nnunet_eas.crossval.best import Best, Model


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `predict-best` to the command's parser."""
    parser = subparsers.add_parser(
        "predict-best",
        help="predict with the best configuration, ensemble and postprocessing",
        description="Predict a folder of scans with what nnunet-eas crossval (or nnUNetv2_find_best_configuration) "
        "found best: all folds of the chosen model or models, their ensemble, the postprocessing. The masks are those "
        "of nnU-Net's own commands, one after the other. A scan that can't be predicted is named, the others are "
        "predicted, and the exit status is then 1.",
    )
    parser.add_argument("-d", required=True, metavar="DATASET", help="dataset's name or id")
    parser.add_argument("-i", type=Path, required=True, metavar="DIR", help="scans, CASE_0000.nii.gz and so on")
    parser.add_argument("-o", type=Path, required=True, metavar="DIR", help="folder for the masks")
    parser.add_argument("-device", choices=("cuda", "cpu", "mps"), default="cuda", help="(default: %(default)s)")
    parser.add_argument("--engine", default="auto", help="what runs the networks, as in nnunet-eas predict")
    parser.add_argument("--disable_tta", action="store_true", help="no mirrored views: faster, less accurate")
    parser.add_argument("--disable_progress_bar", action="store_true", help="no progress bar")


def run(args: argparse.Namespace) -> int:
    """Predict; 0, or 1 where scans were left out."""
    if not args.i.is_dir():
        raise FileNotFoundError(f"-i must be a folder, got {args.i}. Correct the path.")
    from nnunetv2.paths import nnUNet_results
    from nnunetv2.utilities.dataset_name_id_conversion import maybe_convert_to_dataset_name

    from nnunet_eas.crossval.best import read_best

    if not nnUNet_results.is_set():
        raise RuntimeError("nnUNet_results must be set to a folder, got nothing. Run nnunet-eas doctor.")
    dataset = maybe_convert_to_dataset_name(args.d)
    results = Path(str(nnUNet_results)) / dataset
    best = read_best(results)
    args.o.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".partial_", dir=args.o) as work:
        status = 0
        predicted = []
        for model in best.models:
            folder, of_model = _predict(args, results, best, model, Path(work))
            if not (folder / "dataset.json").is_file():
                return of_model  # nothing was predicted, and why has been said
            predicted.append(folder)
            status |= of_model
        _finish(best, predicted, Path(work), args.o)
    return status


def _predict(args: argparse.Namespace, results: Path, best: Best, model: Model, work: Path) -> tuple[Path, int]:
    """One model's masks, by `nnunet-eas predict`; with probabilities where they are to be averaged."""
    from nnunet_eas.cli.main import main

    previous = _previous_stage(results / model.name, model.configuration)
    status, folder = 0, work / model.name
    command = ["predict", "-i", str(args.i), "-o", str(folder), "-m", str(results / model.name), "-device", args.device]
    if previous is not None:
        from nnunet_eas.crossval.best import Model

        first, status = _predict(args, results, best, Model(model.trainer, model.plans, previous), work)
        command += ["-prev_stage_predictions", str(first)]
    command += ["-f", *map(str, best.folds), "--engine", args.engine]
    command += ["--save_probabilities"] if len(best.models) > 1 else []
    command += ["--disable_tta"] if args.disable_tta else []
    command += ["--disable_progress_bar"] if args.disable_progress_bar else []
    return folder, main(command) | status


def _previous_stage(model: Path, configuration: str) -> str | None:
    """The configuration whose masks a cascade's second stage is given."""
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    return PlansManager(str(model / "plans.json")).get_configuration(configuration).previous_stage_name


def _finish(best: Best, predicted: list[Path], work: Path, output: Path) -> None:
    """Ensemble and postprocessing by nnU-Net's commands, and the masks in their place."""
    from nnunet_eas.crossval.training import call

    dataset_json = predicted[0] / "dataset.json"
    masks = predicted[0]
    if len(predicted) > 1:
        masks = work / "ensemble"
        call(["nnUNetv2_ensemble", "-i", *map(str, predicted), "-o", str(masks)], work / "ensemble.txt")
    finished = work / "postprocessed"
    command = ["nnUNetv2_apply_postprocessing", "-i", str(masks), "-o", str(finished)]
    command += ["-pp_pkl_file", str(best.postprocessing), "-plans_json", str(best.plans_file)]
    call([*command, "-dataset_json", str(dataset_json)], work / "postprocessing.txt")
    ending = json.loads(dataset_json.read_text(encoding="utf-8"))["file_ending"]
    for file in [dataset_json, *sorted(finished.glob(f"*{ending}"))]:
        os.replace(file, output / file.name)
    print(f"{sum(1 for _ in output.glob(f'*{ending}'))} masks in {output}", flush=True)
