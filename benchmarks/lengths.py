r"""What a shorter training, or one that stops early, costs EAS U-Net in Dice: the runner's results, length by length.

    python benchmarks/lengths.py --results benchmarks/results/runs benchmarks/results/runs_of_lengths \
        --dataset Dataset004_Hippocampus --out benchmarks/results/lengths.json --readme README.md

Each length is compared with the longest, on the cases and seeds that both have: the mean difference in Dice with its
bootstrap interval over cases. Iterations are the mean over folds; a training that stops early has its own number in
each.
"""

from __future__ import annotations

import argparse
import statistics
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import results_files
from arms import ARMS
from differences import ALL, of_cases
from host_commands import write_json
from paired import paired_difference
from readme_block import put_between_marks
from results_files import Result

WHOLE, EARLY = "eas", "eas_earlystop"


def main() -> None:
    """Reads the results, writes JSON and README."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, nargs="+", required=True, help="the runner's folders")
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--configuration", default="2d")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--readme", type=Path, help="a Markdown file whose block `lengths` gets the table")
    args = parser.parse_args()
    files = sorted(path for folder in args.results for path in (folder / args.dataset).glob("*.json"))
    results = [results_files.read(path) for path in files]
    wanted = {"configuration": args.configuration, "seed": args.seed}
    rows = compare([r for r in results if all(r["recipe"][name] == value for name, value in wanted.items())])
    write_json(args.out, {"dataset": args.dataset, **wanted, "lengths": rows})
    if args.readme:
        put_between_marks(args.readme, "lengths", table(rows))
    print(table(rows))


def compare(results: Iterable[Result]) -> list[dict[str, Any]]:
    """A row for each length, the longest first; the rows after it say how far they are from it.

    Raises:
        SystemExit: Two versions of code, data or plan.
    """
    of_length: dict[tuple[int, int, str], list[Result]] = defaultdict(list)
    for result in results:
        r = result["recipe"]
        if r["arm"] in (WHOLE, EARLY):
            epochs, iterations = r["schedule"]["epochs"], r["schedule"]["iterations"]
            of_length[-epochs * iterations, epochs, r["arm"]].append(result)
    for arm in (WHOLE, EARLY):
        of_arm = [r["recipe"] for (*_, name), found in of_length.items() if name == arm for r in found]
        if len({results_files.key({k: r[k] for k in ("data", "plan", "code")}) for r in of_arm}) > 1:
            raise SystemExit(f"--results must hold one version of {arm}, got several. Remove what is out of date.")
    rows: list[dict[str, Any]] = []
    longest: dict[str, float] = {}
    for (_, epochs, arm), found in sorted(of_length.items()):
        dice = of_cases(found, "dice")[ALL]
        longest = longest or dice
        trained = [sum(epoch["iterations"] for epoch in result["epochs"]) for result in found]
        row = {
            "title": ARMS[arm].title,
            "epochs": epochs,
            "iterations": statistics.fmean(trained),
            "of_iterations": found[0]["recipe"]["schedule"]["iterations"] * epochs,
            "iterations_of_folds": trained,
            "folds": len(found),
            "cases": len(dice),
            "dice": statistics.fmean(dice.values()),
        }
        rows.append(row if dice is longest else {**row, "difference": paired_difference(dice, longest)})
    return rows


def table(rows: Iterable[dict[str, Any]]) -> str:
    """As Markdown."""
    lines = [
        "| training | iterations | cases | mean DSC % | difference to the first |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        trained = (
            f"{row['iterations']:.0f} of {row['of_iterations']}"
            if row["title"] != ARMS[WHOLE].title
            else (f"{row['iterations']:.0f}")
        )
        d = row.get("difference")
        shown = f"{100 * d['mean']:+.2f} [{100 * d['low']:+.2f}, {100 * d['high']:+.2f}]" if d else ""
        cells = [row["title"], trained, f"{row['cases']} ({row['folds']} folds)", f"{100 * row['dice']:.2f}", shown]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
