"""Predict with the best configuration, ensemble and postprocessing.

Predict a folder of scans with what nnunet-eas crossval (or nnUNetv2_find_best_configuration) found best: all folds of
the chosen model or models, their ensemble, the postprocessing. The masks are those of nnU-Net's own commands, one after
the other. A scan that can't be predicted is named, the others are predicted, and the exit status is then 1.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from nnunet_eas.cli import options

if TYPE_CHECKING:
    from nnunet_eas.inference.predict import Prediction


def add_options(parser: argparse.ArgumentParser) -> None:
    options.add_dataset(parser)
    options.add_prediction(parser)
    parser.add_argument("--engine", default="auto", help="what runs the networks, as in nnunet-eas predict")
    options.add_trust(parser)


def run(args: argparse.Namespace) -> int:
    from nnunet_eas.crossval.predict_best import predict_best

    def show(done: Sequence[Prediction]) -> None:
        options.say(f"{options.counted(len(done), 'mask')} written to {args.output}")

    return options.finish(predict_best, {**options.keywords(args), "say": options.say}, show)
