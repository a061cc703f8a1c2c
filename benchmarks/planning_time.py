"""Seconds of nnunet-eas plan_experiment against nnUNetv2_plan_experiment, whole processes, alternating.

python benchmarks/planning_time.py --work DIR --out RESULT.json
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import environment
from fingerprints import GEOMETRIES, write_geometry
from host_commands import call, write_json

COMMANDS = {"default": "nnUNetv2_plan_experiment", "eas": "nnunet-eas plan_experiment"}


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
                call(args.work, [*command.split(), "-d", str(int(dataset[7:10]))])
                seconds[name].append(time.perf_counter() - start)
        ratios = [eas / default for eas, default in zip(seconds["eas"][1:], seconds["default"][1:], strict=True)]
        row: dict = {"dataset": dataset, "seconds_of_repeats": {k: v[1:] for k, v in seconds.items()}}
        row |= {f"{name}_median_seconds": statistics.median(v[1:]) for name, v in seconds.items()}
        rows.append({**row, "median_ratio": statistics.median(ratios), "lowest": min(ratios), "highest": max(ratios)})
        print(dataset, {k: v for k, v in rows[-1].items() if "median" in k}, flush=True)
    worst = max(row["median_ratio"] for row in rows)
    write_json(args.out, {"worst_median_ratio": worst, "rows": rows, "environment": environment.describe()})


if __name__ == "__main__":
    main()
