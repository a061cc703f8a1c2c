"""`nnunet-eas export`: a trained model as a file that predicts without nnU-Net and PyTorch."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `export` to the command's parser."""
    parser = subparsers.add_parser(
        "export",
        help="write a trained model as an ONNX or OpenVINO file",
        description="Write a trained model of nnU-Net, of any trainer, as an ONNX or OpenVINO file: patches, any "
        "number at once, to logits. The metadata in the file say all that preprocessing, the sliding window and the "
        "labels need, so that prediction needs neither nnU-Net nor PyTorch. The file is compared with PyTorch before "
        "it gets its name.",
    )
    parser.add_argument(
        "model", type=Path, metavar="MODEL", help="trained model's folder, TRAINER__PLANS__CONFIGURATION"
    )
    parser.add_argument("--to", choices=("onnx", "openvino"), required=True, help="the format")
    parser.add_argument("-f", nargs="+", type=_fold, metavar="FOLD", help="folds (default: all that are trained)")
    several = parser.add_mutually_exclusive_group()
    several.add_argument(
        "--average", action="store_true", help="one file with the mean of the folds' logits, as nnU-Net (default)"
    )
    several.add_argument("--apart", action="store_true", help="a file for each fold")
    parser.add_argument(
        "-chk", default="checkpoint_final.pth", metavar="NAME", help="checkpoint (default: %(default)s)"
    )
    parser.add_argument(
        "-o", type=Path, required=True, metavar="OUT", help="file ending in .onnx or .xml, or a folder for named files"
    )


def run(args: argparse.Namespace) -> int:
    """Export; 0."""
    from nnunet_eas.inference.export import export

    exported = export(
        args.model,
        args.to,
        args.o,
        folds=args.f,
        checkpoint=args.chk,
        average=not args.apart,
        say=lambda line: print(line, flush=True),
    )
    for file in exported:
        print(f"written: {file.path}")
    return 0


def _fold(text: str) -> int | str:
    if not text.isdecimal() and text != "all":
        raise argparse.ArgumentTypeError(f"must be a number or all, got {text}")
    return int(text) if text.isdecimal() else text
