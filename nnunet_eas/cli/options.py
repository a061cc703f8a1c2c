"""Options that several commands share, and the end of a command of which some cases fail."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nnunet_eas.support.device import DEVICES
from nnunet_eas.support.errors import PartialSuccess, printable


def add_workers(parser: argparse.ArgumentParser) -> None:
    cores = os.cpu_count() or 1
    parser.add_argument("--workers", type=int, default=cores, metavar="N", help="processes (default: %(default)s)")


def add_dataset(parser: argparse._ActionsContainer, required: bool = True) -> None:
    parser.add_argument("-d", required=required, metavar="DATASET", dest="dataset", help="dataset's name or id")


def add_plans_and_trainer(parser: argparse._ActionsContainer, *trainer_flags: str) -> None:
    for dest, default, flags in (("plans", "nnUNetPlans", ["-p"]), ("trainer", "EASUNetTrainer", trainer_flags)):
        text = f"{dest} (default: %(default)s)"
        parser.add_argument(*flags, default=default, metavar=dest.upper(), dest=dest, help=text)


def add_folds_and_checkpoint(parser: argparse._ActionsContainer, fold: Callable[[str], int | str]) -> None:
    trained = "folds (default: all that are trained)"
    parser.add_argument("-f", nargs="+", type=fold, metavar="FOLD", dest="folds", help=trained)
    name, text = "checkpoint_final.pth", "checkpoint (default: %(default)s)"
    parser.add_argument("-chk", default=name, metavar="NAME", dest="checkpoint", help=text)


def add_trust(parser: argparse.ArgumentParser) -> None:
    text = "load checkpoints as nnU-Net does, which runs whatever they hold; only for files from people you trust"
    parser.add_argument("--trust", action="store_true", help=text)


def add_device(parser: argparse.ArgumentParser) -> None:
    text = "auto takes a GPU where there is one (default: %(default)s)"
    parser.add_argument("-device", choices=DEVICES, default="auto", help=text)


def add_prediction(parser: argparse.ArgumentParser) -> None:
    scans = "scans, CASE_0000.nii.gz and so on, or one such file"
    parser.add_argument("-i", type=Path, required=True, metavar="DIR", dest="scans", help=scans)
    parser.add_argument("-o", type=Path, required=True, metavar="DIR", dest="output", help="folder for the masks")
    add_device(parser)
    tta = "no mirrored views: faster, less accurate"
    parser.add_argument("--disable_tta", action="store_false", dest="mirroring", help=tta)
    parser.add_argument("--disable_progress_bar", action="store_false", dest="progress", help="no progress bar")


def add_planning(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("-d", type=int, nargs="+", required=True, metavar="ID", dest="dataset_ids", help="ids of the datasets, e.g. 4")
    memory = "memory that a training may take, in GB; decides patch and batch (default: %(default)s)"
    add("-gpu_memory_target", type=float, default=8, metavar="GB", dest="gpu_memory_target_in_gb", help=memory)
    preprocessor = "nnU-Net's preprocessor (default: %(default)s)"
    add("-preprocessor_name", default="DefaultPreprocessor", metavar="CLASS", help=preprocessor)
    spacing = "spacing of 3d_fullres, in the images' axis order z y x (default: the dataset's)"
    add("-overwrite_target_spacing", type=float, nargs=3, metavar="MM", help=spacing)
    name = "name of the plans file, for -p (default: %(default)s)"
    add("-overwrite_plans_name", default="EASUNetPlans", metavar="NAME", dest="plans_name", help=name)


def add_labels(parser: argparse.ArgumentParser, verb: str, masks: str, beside: str) -> None:
    """Adds `-l` and `-djfile`, and an example of the two; `masks` hold the labels, dataset.json lies `beside` them."""
    parser.add_argument(
        "-l",
        type=int,
        nargs="+",
        metavar="N",
        dest="labels",
        help=f"label values to {verb}, the numbers in dataset.json's labels (default: all structures of dataset.json, "
        f"or without one all labels that the {masks} hold)",
    )
    names = f"dataset.json with the structures' names (default: the one {beside}, if there is one)"
    parser.add_argument("-djfile", type=Path, metavar="JSON", dest="dataset_json", help=names)
    parser.epilog = (
        "example: a dataset.json with the labels {background: 0, femur: 1, femoral_cartilage: 2, tibia: 3, "
        f"tibial_cartilage: 4}}; -l 2 4 {verb}s the two cartilages only"
    )


def add_tolerance(parser: argparse.ArgumentParser) -> None:
    text = "the NSD's tolerance (default: %(default)s)"
    parser.add_argument("--tolerance-mm", type=float, default=1.0, metavar="MM", help=text)


def keywords(args: argparse.Namespace, *others: str) -> dict[str, Any]:
    """The arguments of a command as keyword arguments of its function, without those that are `others`."""
    return {name: value for name, value in vars(args).items() if name not in ("command", "debug", *others)}


def counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def say(line: str) -> None:
    print(line, flush=True)


def finish(
    function: Callable[..., Any], arguments: dict[str, Any], show: Callable[[Any], None], tell_faults: bool = True
) -> int:
    """Calls a function, shows its result, then tells each case's fault; passes `PartialSuccess` on."""
    try:
        show(function(**arguments))
    except PartialSuccess as partial:
        show(partial.result)
        for case, fault in partial.faults.items() if tell_faults else ():
            print(f"left out {printable(case)}: {fault}", file=sys.stderr)
        raise
    return 0
