"""Predict scans, as nnUNetv2_predict but faster.

Predict a folder of scans with a trained model of nnU-Net. The masks are those of nnUNetv2_predict. Patches and mirrored
views go through the network together; reading, predicting and writing overlap; on a CPU OpenVINO runs the network if it
is installed, agrees, and repays its start. A scan that can't be predicted is named, the others are predicted, and the
exit status is then 1.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nnunet_eas.cli import options

if TYPE_CHECKING:
    from nnunet_eas.inference.predict import Prediction


def add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    options.add_prediction(parser)
    model = parser.add_argument_group("the model: -m, or -d with -c")
    folder = "a trained model's folder, TRAINER__PLANS__CONFIGURATION, or a packed file"
    model.add_argument("-m", type=Path, metavar="MODEL", dest="model", help=folder)
    options.add_dataset(model, required=False)
    model.add_argument("-c", metavar="CONFIGURATION", dest="configuration", help="2d, 3d_fullres, ...")
    options.add_plans_and_trainer(model, "-tr")
    options.add_folds_and_checkpoint(model, lambda fold: int(fold) if fold.isdecimal() else fold)
    add("-step_size", type=float, default=0.5, help="of the sliding window (default: %(default)s)")
    add("--save_probabilities", action="store_true", help="for nnUNetv2_ensemble")
    add("--continue_prediction", action="store_true", help="keep masks that exist already")
    previous = "masks of a cascade's first stage"
    add("-prev_stage_predictions", type=Path, metavar="DIR", dest="previous_stage", help=previous)
    add("-num_parts", type=int, default=1, help="how many such calls share the cases")
    add("-part_id", type=int, default=0, help="which of these calls this is, from 0")
    add("--not_on_device", action="store_false", dest="sum_on_device", help="sum logits in the CPU's memory")
    at_a_time = "at a time (default: 1 on a CPU, 3 on a GPU)"
    add("-npp", type=int, metavar="N", dest="readers", help=f"scans read and preprocessed {at_a_time}")
    add("-nps", type=int, metavar="N", dest="writers", help=f"masks resampled and written {at_a_time}")
    add("--batch", type=int, metavar="N", help="patches in a pass (default: by the free memory)")
    engines = ("auto", "torch", "openvino", "openvino-bf16")
    add("--engine", choices=engines, default="auto", help="what runs the network (default: %(default)s)")
    options.add_trust(parser)
    add("--verbose", action="store_true", help="print what nnU-Net's predictor prints")


def run(args: argparse.Namespace) -> int:
    given = [flag for flag, value in (("-m", args.model), ("-d", args.dataset), ("-c", args.configuration)) if value]
    if given not in (["-m"], ["-d", "-c"]):
        got = " and ".join(given) or "nothing"
        raise ValueError(f"the model must be given as -m, or as -d with -c, got {got}. See nnunet-eas predict --help.")
    from nnunet_eas.inference.predict import predict
    from nnunet_eas.inference.trained_model import model_folder

    arguments = options.keywords(args, "dataset", "configuration", "plans", "trainer")
    arguments["model"] = args.model or model_folder(args.dataset, args.configuration, args.trainer, args.plans)
    arguments["say"] = options.say

    def show(done: Sequence[Prediction]) -> None:
        options.say(f"{options.counted(len(done), 'mask')} written to {args.output}")

    return options.finish(predict, arguments, show)
