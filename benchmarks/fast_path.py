r"""Five folds' Dice of EAS U-Net before and after it was made faster on the CPU, seed by seed.

    python benchmarks/fast_path.py --before benchmarks/results/runs_before_recomputation \
        --after benchmarks/results/runs --out benchmarks/results/fast_path.json

`before` was trained with PyTorch's plain operations, `after` with maps that are made again in the backward pass and
gradients of our own; plan, schedule, data and seeds are the same. Differences are paired by case, with their 95 %
bootstrap interval over cases; beside them the difference between two seeds of the same code.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path

import results_files
from differences import ALL, of_cases
from host_commands import write_json
from paired import paired_difference
from results_files import Result

SAME = ("data", "plan", "schedule", "trainer", "configuration")


def main() -> None:
    """Reads both, writes the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, required=True)
    parser.add_argument("--after", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    before = read(args.before)
    recipe = before[0]["recipe"]
    after = [r for r in read(args.after) if all(r["recipe"][name] == recipe[name] for name in SAME)]
    trainings = [sorted((r["recipe"]["seed"], r["recipe"]["fold"]) for r in results) for results in (before, after)]
    if trainings[0] != trainings[1]:
        raise SystemExit(f"--after must hold the trainings of --before, got {trainings[1]} for {trainings[0]}.")
    seeds = sorted({seed for seed, _ in trainings[0]})
    old, new = dice_of_seeds(before), dice_of_seeds(after)
    content = {
        "schedule": recipe["schedule"],
        "before": {seed: statistics.fmean(old[seed].values()) for seed in seeds},
        "after": {seed: statistics.fmean(new[seed].values()) for seed in seeds},
        "after_minus_before": {seed: paired_difference(new[seed], old[seed]) for seed in seeds},
        "last_seed_minus_first": {
            "before": paired_difference(old[seeds[-1]], old[seeds[0]]),
            "after": paired_difference(new[seeds[-1]], new[seeds[0]]),
        },
    }
    write_json(args.out, content)
    print(json.dumps(content, indent=1))


def read(folder: Path) -> list[Result]:
    """EAS's results in 2d."""
    return [results_files.read(path) for path in sorted(folder.rglob("2d_eas_seed*.json"))]


def dice_of_seeds(results: list[Result]) -> dict[int, dict[str, float]]:
    """By seed, each case's mean Dice over structures."""
    seeds = {result["recipe"]["seed"] for result in results}
    return {seed: of_cases([r for r in results if r["recipe"]["seed"] == seed], "dice")[ALL] for seed in seeds}


if __name__ == "__main__":
    main()
