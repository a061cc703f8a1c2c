"""Show what a model's file or folder holds, without running it.

Show what a checkpoint, postprocessing.pkl, packed model, other archive, or a whole model's folder holds, without
running any of it: nnU-Net's checkpoints and .pkl files are pickles, which can run any program when they are loaded.
What is damaged, or would run, is named, and the exit status is then 1.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", type=Path, metavar="FILE", help="file or folder")


def run(args: argparse.Namespace) -> int:
    from nnunet_eas.sharing.inspect import inspect
    from nnunet_eas.support.errors import printable

    found = inspect(args.path)
    for one in found:
        print(f"{printable(one.name)}: {one.kind}, {one.size} bytes, sha256 {one.sha256}")
        for fact in one.facts:
            print(f"  {printable(fact)}")
        for danger in one.dangers:
            print(f"  DANGER: {printable(danger)}")
    if any(one.dangers for one in found):
        print("Do not load what is named DANGER, unless you trust its source.")
        return 1
    return 0
