"""Seconds of nnunet-eas plan_experiment against nnUNetv2_plan_experiment, whole processes in turns.

python -m benchmarks.planning.planning_time --work DIR --out RESULT.json
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

from benchmarks import environment
from benchmarks.commands import call
from benchmarks.planning.fingerprints import GEOMETRIES, write_geometry
from nnunet_eas.support.files import write_json

COMMANDS = {"default": ["nnUNetv2_plan_experiment"], "eas": ["nnunet-eas", "plan_experiment"]}


def main() -> None:
    """Times both planners on every geometry and writes the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for nnU-Net's three folders")
    parser.add_argument("--out", type=Path, required=True, help="the JSON to write")
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    rows = []
    for dataset in GEOMETRIES:
        write_geometry(args.work / "raw", args.work / "preprocessed", dataset)
        seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
        for _ in range(args.repeats + 1):
            for name, command in COMMANDS.items():
                start = time.perf_counter()
                call(args.work, [*command, "-d", str(int(dataset[7:10]))])
                seconds[name].append(time.perf_counter() - start)
        seconds = {name: values[1:] for name, values in seconds.items()}  # the first repeat is a warm-up
        ratios = [eas / default for eas, default in zip(seconds["eas"], seconds["default"], strict=True)]
        row: dict[str, Any] = {"dataset": dataset, "seconds_of_repeats": seconds}
        row |= {f"{name}_median_seconds": statistics.median(values) for name, values in seconds.items()}
        rows.append({**row, "median_ratio": statistics.median(ratios), "lowest": min(ratios), "highest": max(ratios)})
        print(dataset, {key: value for key, value in rows[-1].items() if "median" in key}, flush=True)
    worst = max(row["median_ratio"] for row in rows)
    write_json(args.out, {"worst_median_ratio": worst, "rows": rows, "environment": environment.describe()})


if __name__ == "__main__":
    main()
