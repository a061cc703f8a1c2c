r"""How much longer n folds take on n devices than the longest of them: what crossval's placing costs.

    python benchmarks/crossval_overlap.py --dataset .../Dataset004_Hippocampus --work DIR --out RESULT.json

The devices are stand-ins: a training sleeps for --seconds, and starts and ends as any other. `folds` are seconds from
the start of a fold's job to its summary, `wall` those from the first start to the last end, `ratio` is wall / longest.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
from pathlib import Path

import environment
from arms import ARMS, TRAINERS
from host_commands import call, with_trainers, write_json
from prepared import Prepared, Sizes

TRAINER, RESULTS = "SleepingTrainer", "crossval_overlap"


def main() -> None:
    """Trains, and writes the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, required=True, help="DatasetXXX_NAME, nnU-Net's raw layout")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=120)
    args = parser.parse_args()
    os.environ.update(with_trainers(TRAINERS), BENCHMARK_SLEEP=str(args.seconds))
    prepared = Prepared(args.dataset, args.work, {"2d": Sizes(2)})
    shutil.rmtree(prepared.work / RESULTS, ignore_errors=True)
    prepared.configuration("default", ARMS["default"], "2d")  # a small batch: loading is not what is measured
    os.environ["nnUNet_n_proc_DA"] = "0"  # for trainings; planning refuses it
    folds = list(range(min(args.workers, len(prepared.split))))
    command = ["nnunet-eas", "crossval", "-d", args.dataset.name, "-c", "2d", "-tr", TRAINER, "-p", "default"]
    command += ["-device", "cpu", "--workers", str(args.workers), "--folds", *map(str, folds)]
    try:
        call(prepared.work, command, RESULTS)
    except SystemExit as error:  # there are no masks among which the best could be found
        print(f"as expected: {error}")
    model = prepared.work / RESULTS / args.dataset.name / f"{TRAINER}__default__2d"
    starts = [json.loads((model / f"fold_{fold}" / "crossval.json").read_text())["started"] for fold in folds]
    ends = [(model / f"fold_{fold}" / "validation" / "summary.json").stat().st_mtime for fold in folds]
    seconds = [end - start for start, end in zip(starts, ends, strict=True)]
    wall = max(ends) - min(starts)
    content = {
        "workers": args.workers,
        "sleep_seconds": args.seconds,
        "folds": seconds,
        "wall": wall,
        "ratio": wall / max(seconds),
        "environment": environment.describe(),
    }
    write_json(args.out, content)
    print(f"{len(folds)} folds in {wall:.1f} s, the longest took {max(seconds):.1f} s: {content['ratio']:.3f}")


if __name__ == "__main__":
    main()
