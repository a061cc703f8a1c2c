"""Restore the folder of a packed model for nnU-Net's commands.

Restore the models of a file of nnunet-eas pack in a new folder, laid out as a dataset's folder in nnUNet_results:
nnUNetv2_predict and nnunet-eas predict-best take it where it lies there under the name DatasetXXX_NAME. The file may
come from anyone: nothing in it is run, and one that is damaged or breaks a rule is refused and leaves nothing.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from nnunet_eas.cli import options


def add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("file", type=Path, metavar="FILE", help="packed file, ending in .nnunet.zip")
    trust = "accept plans that name classes of any package; only for files from people you trust"
    add("--trust", action="store_true", help=trust)
    add("-o", type=Path, required=True, metavar="DIR", dest="output", help="new folder")


def run(args: argparse.Namespace) -> int:
    from nnunet_eas.sharing.unpack import unpack

    for folder in unpack(**options.keywords(args), progress=True, say=options.say):
        print(f"written: {folder}")
    return 0
