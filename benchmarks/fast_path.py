r"""Five folds' Dice of EAS U-Net before and after it was made faster on the CPU, seed by seed.

    python benchmarks/fast_path.py --before benchmarks/results/runs_before_recomputation \
        --after benchmarks/results/runs --out benchmarks/results/fast_path.json

`before` was trained with PyTorch's plain operations, `after` with maps that are made again in the backward pass and
gradients of our own; plan, schedule, data and seeds are the same. The mean is over all cases and structures.
"""

from __future__ import annotations

import argparse
import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any

import results_files
from host_commands import write_json

SAME = ("data", "plan", "schedule", "trainer", "configuration")


def main() -> None:
    """Reads both, writes the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, required=True)
    parser.add_argument("--after", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    before, after = read(args.before), read(args.after)
    recipe = next(iter(before.values()))["recipe"]
    after = {
        key: result for key, result in after.items() if all(result["recipe"][name] == recipe[name] for name in SAME)
    }
    if set(before) != set(after):
        raise SystemExit(f"--after must hold the trainings of --before, got {sorted(after)} for {sorted(before)}.")
    of_before, of_after = means(before), means(after)
    content = {
        "schedule": recipe["schedule"],
        "before": of_before,
        "after": of_after,
        "difference_of_means": statistics.mean(of_after.values()) - statistics.mean(of_before.values()),
        "between_seeds_before": max(of_before.values()) - min(of_before.values()),
        "between_seeds_after": max(of_after.values()) - min(of_after.values()),
    }
    write_json(args.out, content)
    print(content)


def read(folder: Path) -> dict[tuple[int, int], dict[str, Any]]:
    """EAS's results in 2d by seed and fold."""
    found = {}
    for path in sorted(folder.rglob("2d_eas_seed*.json")):
        result = results_files.read(path)
        found[result["recipe"]["seed"], result["recipe"]["fold"]] = result
    return found


def means(results: dict[tuple[int, int], dict[str, Any]]) -> dict[int, float]:
    """Mean Dice by seed."""
    dice = defaultdict(list)
    for (seed, _), result in results.items():
        dice[seed] += [row["dice"] for row in result["per_case"] if row["label"] != "foreground"]
    return {seed: statistics.mean(values) for seed, values in sorted(dice.items())}


if __name__ == "__main__":
    main()
