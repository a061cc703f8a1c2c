"""Pack a trained model into one file to share.

Pack a trained model of nnU-Net, of any trainer, or the best configuration or ensemble of a dataset into one file, with
a model card. The file holds no names of cases, and reading it runs nothing. nnunet-eas predict and export take it in
place of a model's folder; nnunet-eas unpack restores the folder for nnU-Net's own commands.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from nnunet_eas.cli import options


def add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    folder = "trained model's folder, TRAINER__PLANS__CONFIGURATION"
    add("model", type=Path, nargs="?", metavar="MODEL", help=f"{folder}; or -d")
    best = "dataset's name or id: its best configuration or ensemble and postprocessing, as crossval found them"
    add("-d", metavar="DATASET", dest="dataset", help=best)
    options.add_folds_and_checkpoint(parser, lambda fold: int(fold) if fold.isdecimal() else fold)
    add("--license", metavar="SPDX", help="license for the model card, as Apache-2.0 or CC-BY-4.0")
    add("--intended-use", metavar="TEXT", help="what the model is for, for the model card")
    options.add_trust(parser)
    add("-o", type=Path, required=True, metavar="FILE", dest="output", help="file ending in .nnunet.zip")


def run(args: argparse.Namespace) -> int:
    from nnunet_eas.sharing.pack import pack

    file = pack(**options.keywords(args), progress=True, say=options.say)
    print(f"written: {file}, {file.stat().st_size / 1e6:.1f} MB")
    return 0
