"""Write a trained model as an ONNX or OpenVINO file.

Write a trained model of nnU-Net, of any trainer, as an ONNX or OpenVINO file: patches, any number at once, to logits.
The metadata in the file say all that preprocessing, the sliding window and the labels need, so that prediction needs
neither nnU-Net nor PyTorch. The file is compared with PyTorch before it gets its name.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from nnunet_eas.cli import options


def add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    model = "trained model's folder, TRAINER__PLANS__CONFIGURATION, or a packed file"
    add("model", type=Path, metavar="MODEL", help=model)
    add("--to", choices=("onnx", "openvino"), required=True, help="the format")
    options.add_folds_and_checkpoint(parser, _fold)
    several = parser.add_mutually_exclusive_group()
    mean = "one file with the mean of the folds' logits, as nnU-Net (default)"
    several.add_argument("--average", action="store_true", default=True, help=mean)
    several.add_argument("--apart", action="store_false", dest="average", help="a file for each fold")
    options.add_trust(parser)
    output = "file ending in .onnx or .xml, or a folder for named files"
    add("-o", type=Path, required=True, metavar="OUT", dest="output", help=output)


def run(args: argparse.Namespace) -> int:
    from nnunet_eas.inference.export import export

    for file in export(**options.keywords(args), say=options.say):
        print(f"written: {file.path}")
    return 0


def _fold(text: str) -> int | str:
    if not text.isdecimal() and text != "all":
        raise argparse.ArgumentTypeError(f"must be a number or all, got {text}")
    return int(text) if text.isdecimal() else text
