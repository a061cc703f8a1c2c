"""`nnunet-eas predict`: what nnUNetv2_predict does, with fewer passes and without its processes."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


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
    parser.add_argument(
        "-i", type=Path, required=True, metavar="DIR", help="scans, CASE_0000.nii.gz and so on, or one such file"
    )
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
    parser.add_argument("--continue_prediction", action="store_true", help="keep masks that exist already")
    parser.add_argument("-prev_stage_predictions", type=Path, metavar="DIR", help="masks of a cascade's first stage")
    parser.add_argument("-num_parts", type=int, default=1, help="how many such calls share the cases")
    parser.add_argument("-part_id", type=int, default=0, help="which of these calls this is, from 0")
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
    parser.add_argument("--verbose", action="store_true", help="print what nnU-Net's predictor prints")


def run(args: argparse.Namespace) -> int:
    """Predict all cases; 0. Faulty scans end in `PartialSuccess` once the others are written."""
    if (args.m is None) == (args.d is None or args.c is None):
        raise ValueError("a model must be given as -m, or as -d with -c, got neither or both. Give one of them.")
    from nnunet_eas.inference.predict import predict
    from nnunet_eas.inference.trained_model import model_folder
    from nnunet_eas.support.errors import PartialSuccess

    try:
        predictions = predict(
            args.i,
            args.m or model_folder(args.d, args.c, args.tr, args.p),
            args.o,
            folds=None if args.f is None else [int(fold) if fold.isdecimal() else fold for fold in args.f],
            checkpoint=args.chk,
            previous_stage=args.prev_stage_predictions,
            device=args.device,
            engine=args.engine,
            mirroring=not args.disable_tta,
            step_size=args.step_size,
            batch=args.batch,
            sum_on_device=not args.not_on_device,
            save_probabilities=args.save_probabilities,
            continue_prediction=args.continue_prediction,
            part_id=args.part_id,
            num_parts=args.num_parts,
            verbose=args.verbose,
            progress=not args.disable_progress_bar,
            say=lambda line: print(line, flush=True),
        )
    except PartialSuccess as partial:
        print(f"{len(partial.result)} masks written to {args.o}", flush=True)
        for name, reason in partial.faults.items():
            print(f"left out {name}: {reason}", file=sys.stderr)
        raise
    print(f"{len(predictions)} masks written to {args.o}")
    return 0
