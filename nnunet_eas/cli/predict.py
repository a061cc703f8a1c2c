"""`nnunet-eas predict`: what nnUNetv2_predict does, with fewer passes and without its processes."""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nnunet_eas.inference.batched_predictor import BatchedPredictor
    from nnunet_eas.inference.trained_model import TrainedModel


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `predict` to the command's parser; flags and defaults are nnU-Net's where it has them."""
    parser = subparsers.add_parser(
        "predict",
        help="predict scans, as nnUNetv2_predict but faster",
        description="Predict a folder of scans with a trained model of nnU-Net. The masks are those of "
        "nnUNetv2_predict. Patches and mirrored views go through the network together; reading, predicting and writing "
        "overlap; on a CPU OpenVINO runs the network if it is installed, agrees, and repays its start. A scan that "
        "can't be predicted is named, the others are predicted, and the exit status is then 1.",
    )
    parser.add_argument("-i", type=Path, required=True, metavar="DIR", help="scans, CASE_0000.nii.gz and so on")
    parser.add_argument("-o", type=Path, required=True, metavar="DIR", help="folder for the masks")
    model = parser.add_argument_group("the model: -m, or -d with -c")
    model.add_argument("-m", type=Path, metavar="MODEL", help="a trained model's folder, TRAINER__PLANS__CONFIGURATION")
    model.add_argument("-d", metavar="DATASET", help="dataset's name or id")
    model.add_argument("-c", metavar="CONFIGURATION", help="2d, 3d_fullres, ...")
    model.add_argument("-p", default="nnUNetPlans", metavar="PLANS", help="plans (default: %(default)s)")
    model.add_argument("-tr", default="EASUNetTrainer", metavar="TRAINER", help="trainer (default: %(default)s)")
    model.add_argument("-f", nargs="+", default=None, metavar="FOLD", help="folds (default: all that are trained)")
    model.add_argument("-chk", default="checkpoint_final.pth", metavar="NAME", help="checkpoint (default: %(default)s)")
    parser.add_argument("-step_size", type=float, default=0.5, help="of the sliding window (default: %(default)s)")
    parser.add_argument("--disable_tta", action="store_true", help="no mirrored views: faster, less accurate")
    parser.add_argument("--save_probabilities", action="store_true", help="for nnUNetv2_ensemble")
    parser.add_argument("--continue_prediction", action="store_true", help="keep masks that are there")
    parser.add_argument("-prev_stage_predictions", type=Path, metavar="DIR", help="a cascade's first masks")
    parser.add_argument("-num_parts", type=int, default=1, help="how many such calls share the cases")
    parser.add_argument("-part_id", type=int, default=0, help="which of them this is, from 0")
    parser.add_argument("-device", choices=("cuda", "cpu", "mps"), default="cuda", help="(default: %(default)s)")
    parser.add_argument("--not_on_device", action="store_true", help="sum logits in the CPU's memory")
    for flag in ("-npp", "-nps"):
        parser.add_argument(flag, type=int, help="nnU-Net's number of processes; has no effect, as there are none")
    parser.add_argument("--batch", type=int, metavar="N", help="patches in a pass (default: by the free memory)")
    engines = ("auto", "torch", "openvino", "openvino-bf16")
    parser.add_argument(
        "--engine", choices=engines, default="auto", help="what runs the network (default: %(default)s)"
    )
    parser.add_argument("--disable_progress_bar", action="store_true", help="no progress bar")
    parser.add_argument("--verbose", action="store_true", help="say more")


def run(args: argparse.Namespace) -> int:
    """Predict all cases; 0. Where there are faulty ones it ends in a ValueError once the others are written."""
    _check(args)
    from tqdm import tqdm

    from nnunet_eas.inference.pipeline import predict_cases
    from nnunet_eas.inference.scan_files import find_scans, still_to_do

    model = _model(args)
    dataset = model.dataset_json
    ending = dataset["file_ending"]
    cases, faults = find_scans(
        args.i,
        file_ending=ending,
        channels=len(dataset.get("channel_names") or dataset["modality"]),
        previous_stage=args.prev_stage_predictions,
    )
    cases, faults = cases[args.part_id :: args.num_parts], faults[args.part_id :: args.num_parts]
    args.o.mkdir(parents=True, exist_ok=True)
    if args.continue_prediction:
        cases = still_to_do(cases, args.o, [ending, ".npz"] if args.save_probabilities else [ending])
    predictor = _predictor(args, model, len(cases))
    _describe(args, predictor)
    outcomes = predict_cases(predictor, cases, args.o, save_probabilities=args.save_probabilities)
    done = list(tqdm(outcomes, total=len(cases), desc="cases", disable=args.disable_progress_bar or None))
    faults += [outcome for outcome in done if outcome.error]
    print(f"{sum(not outcome.error for outcome in done)} masks written to {args.o}", flush=True)
    for fault in faults:
        print(f"left out {fault.case.identifier}: {fault.error}", file=sys.stderr)
    if faults:
        names = ", ".join(fault.case.identifier for fault in faults)
        raise ValueError(f"-i must hold sound scans, got faulty ones: {names}. Mend what is said above.")
    return 0


def _check(args: argparse.Namespace) -> None:
    """What is wrong with the arguments shows before the model is loaded."""
    if (args.m is None) == (args.d is None or args.c is None):
        raise ValueError("a model must be given as -m, or as -d with -c, got neither or both. Give one of them.")
    if not 0 < args.step_size <= 1:
        raise ValueError(f"-step_size must be above 0 and at most 1, got {args.step_size}. nnU-Net's own is 0.5.")
    if not 0 <= args.part_id < args.num_parts:
        raise ValueError(f"-part_id must be from 0 to -num_parts - 1, got {args.part_id} of {args.num_parts}.")
    if args.batch is not None and args.batch < 1:
        raise ValueError(f"--batch must be at least 1, got {args.batch}. Give a number of patches.")
    if not args.i.is_dir():
        raise FileNotFoundError(f"-i must be a folder, got {args.i}. Correct the path.")
    if args.o.exists() and not args.o.is_dir():
        raise NotADirectoryError(f"-o must be a folder, got the file {args.o}. Give another name.")


def _model(args: argparse.Namespace) -> TrainedModel:
    """The folds' networks."""
    import torch

    from nnunet_eas.inference.trained_model import load_trained_model

    if args.device == "cuda" and not torch.cuda.is_available():
        raise RuntimeError("-device must be one that this machine has, got cuda without a usable GPU. Use -device cpu.")
    folds = None if args.f is None else [int(fold) if fold.isdecimal() else fold for fold in args.f]
    model = load_trained_model(_model_folder(args), folds, args.chk)
    previous = model.configuration.previous_stage_name
    if previous is not None and args.prev_stage_predictions is None:
        raise ValueError(
            f"-prev_stage_predictions must be given for {model.configuration_name}, got nothing. Predict with "
            f"{previous} first, and give its masks."
        )
    return model


def _predictor(args: argparse.Namespace, model: TrainedModel, cases: int) -> BatchedPredictor:
    """nnU-Net's predictor with the model's networks, for so many cases."""
    import torch

    from nnunet_eas.cpu import keep_freed_memory
    from nnunet_eas.inference.batched_predictor import BatchedPredictor, Forward
    from nnunet_eas.inference.engines import forwards_of
    from nnunet_eas.inference.quiet import quiet

    device = torch.device(args.device)
    if device.type == "cpu":
        keep_freed_memory()
    with quiet():  # the host says on every CPU that it is no GPU
        predictor = BatchedPredictor(
            patches_at_once=args.batch,
            tile_step_size=args.step_size,
            use_mirroring=not args.disable_tta,
            perform_everything_on_device=not args.not_on_device and device.type == "cuda",
            device=device,
            verbose=args.verbose,
            verbose_preprocessing=args.verbose,
            allow_tqdm=False,
        )
    predictor.manual_initialization(
        model.networks[0],
        model.plans_manager,
        model.configuration,
        None,
        model.dataset_json,
        model.trainer_name,
        model.mirroring_axes,
    )

    def choose_forwards(images: float) -> list[Forward]:
        forwards, said = forwards_of(model, device, args.engine, images * cases)
        print(f"{model.name}, folds {' '.join(map(str, model.folds))}: {said}", flush=True)
        return forwards

    if args.engine == "auto":
        predictor.choose_forwards = choose_forwards  # by how much there is to predict
    else:
        predictor.forwards = choose_forwards(math.inf)  # now: it may not be there
    return predictor


def _model_folder(args: argparse.Namespace) -> Path:
    if args.m is not None:
        return args.m
    from nnunetv2.paths import nnUNet_results
    from nnunetv2.utilities.file_path_utilities import get_output_folder

    if not nnUNet_results.is_set():
        raise RuntimeError("nnUNet_results must be set to a folder, got nothing. Set it, or give the model as -m.")
    folder = Path(get_output_folder(args.d, args.tr, args.p, args.c))
    if not folder.is_dir():
        trained = sorted(path.name for path in folder.parent.glob("*__*__*")) or ["nothing"]
        raise FileNotFoundError(
            f"-tr, -p and -c must name a trained model of {folder.parent.name}, got {folder.name}. Trained there: "
            f"{', '.join(trained)}."
        )
    return folder


def _describe(args: argparse.Namespace, predictor: BatchedPredictor) -> None:
    """Beside the masks, as nnU-Net: what postprocessing and ensembling need, and how the masks came about."""
    arguments: dict[str, Any] = {
        name: str(value) if isinstance(value, Path) else value
        for name, value in vars(args).items()
        if name not in ("command", "debug")
    }
    for name, content in (
        ("predict_from_raw_data_args", arguments),
        ("dataset", predictor.dataset_json),
        ("plans", predictor.plans_manager.plans),
    ):
        (args.o / f"{name}.json").write_text(json.dumps(content, indent=4), encoding="utf-8")
