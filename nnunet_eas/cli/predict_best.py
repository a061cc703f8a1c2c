"""`nnunet-eas predict-best`: prediction with what crossval found best."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


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
    parser.add_argument(
        "-i", type=Path, required=True, metavar="DIR", help="scans, CASE_0000.nii.gz and so on, or one such file"
    )
    parser.add_argument("-o", type=Path, required=True, metavar="DIR", help="folder for the masks")
    parser.add_argument("-device", choices=("cuda", "cpu", "mps"), default="cuda", help="(default: %(default)s)")
    parser.add_argument("--engine", default="auto", help="what runs the networks, as in nnunet-eas predict")
    parser.add_argument("--disable_tta", action="store_true", help="no mirrored views: faster, less accurate")
    parser.add_argument("--disable_progress_bar", action="store_true", help="no progress bar")


def run(args: argparse.Namespace) -> int:
    """Predict; 0. Faulty scans end in `PartialSuccess` once the others are written."""
    from nnunet_eas.crossval.predict_best import predict_best
    from nnunet_eas.support.errors import PartialSuccess

    try:
        predictions = predict_best(
            args.i,
            args.d,
            args.o,
            device=args.device,
            engine=args.engine,
            mirroring=not args.disable_tta,
            progress=not args.disable_progress_bar,
            say=lambda line: print(line, flush=True),
        )
    except PartialSuccess as partial:
        print(f"{len(partial.result)} masks in {args.o}", flush=True)
        for name, reason in partial.faults.items():
            print(f"left out {name}: {reason}", file=sys.stderr)
        raise
    print(f"{len(predictions)} masks in {args.o}")
    return 0
