r"""The paper's Table 1 for every dataset that the runner has results of, with differences, intervals and cost.

    python benchmarks/comparison.py --results benchmarks/results/runs --costs benchmarks/results/costs.json \
        --out benchmarks/results/comparison

Writes OUT.json, OUT.md and a figure for each table, OUT_1.png and so on: accuracy against cost. The same results give
the same bytes. What can't be compared (another version of the code, other data, a broken file) is named, the rest goes
on, and the exit status is then 1.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import compared
from arms import ARMS, CONTROLS, NETWORKS
from comparison_figure import draw
from comparison_text import markdown, summary
from host_commands import write_json
from readme_block import put_between_marks


def main() -> int:
    """Reads all results and writes the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, required=True, help="the runner's folder")
    parser.add_argument("--costs", type=Path, help="the JSON of costs.py")
    parser.add_argument("--out", type=Path, required=True, help="of the files to write, without an ending")
    parser.add_argument("--readme", type=Path, help="a Markdown file whose block between the marks gets the summary")
    parser.add_argument("--block", default="comparison", help="the marks' name (default: %(default)s)")
    parser.add_argument("--networks", nargs="+", default=[*NETWORKS, *CONTROLS], choices=ARMS, metavar="NAME")
    parser.add_argument("--reference", default="default", choices=ARMS, metavar="NAME", help="compare with this one")
    parser.add_argument(
        "--ranking", nargs="+", default=[], choices=ARMS, metavar="NAME", help="an order to test, the best first"
    )
    args = parser.parse_args()
    if not args.results.is_dir():
        parser.error(f"--results must be a folder, got {args.results}. Give the runner's --results.")
    results, faults = compared.read(args.results)
    costs, of_costs = read_costs(args.costs)
    names = list(dict.fromkeys([args.reference, *args.networks]))
    tables, of_tables = compared.tables(results, args.reference, names, args.ranking)
    if len(names) > 1:  # a training that only the reference has done is nothing to compare
        tables = [table for table in tables if set(table["networks"]) != {args.reference}]
    for table in tables:
        of_tables += add_costs(table, costs)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    write_json(
        args.out.with_name(f"{args.out.name}.json"), rounded({"definitions": definitions(results), "tables": tables})
    )
    figures = [args.out.with_name(f"{args.out.name}_{number}.png") for number in range(1, len(tables) + 1)]
    for table, figure in zip(tables, figures, strict=True):
        draw(table, figure)
    text = markdown(tables, [figure.name for figure in figures])
    args.out.with_name(f"{args.out.name}.md").write_text(text, encoding="utf-8")
    print(text)
    if args.readme:
        put_between_marks(args.readme, args.block, summary(tables))
    faults += of_costs + of_tables
    if not tables:
        faults.append(f"--results must hold results of {', '.join(names)}, got none in {args.results}. Run runner.py.")
    for fault in faults:
        print(f"left out: {fault}", file=sys.stderr)
    return 1 if faults else 0


def read_costs(path: Path | None) -> tuple[list[dict[str, Any]], list[str]]:
    """What costs.py measured, or why there is nothing."""
    if path is None:
        return [], []
    try:
        costs = json.loads(path.read_text(encoding="utf-8"))["costs"]
        for cost in costs:
            for key in ("dataset", "configuration", "arm", "device", "code", "plan", "cost"):
                cost[key]
        return costs, []
    except (OSError, ValueError, KeyError, TypeError) as error:
        return [], [f"--costs must be a JSON of costs.py, got {path} ({type(error).__name__}). Run costs.py."]


def add_costs(table: dict[str, Any], costs: list[dict[str, Any]]) -> list[str]:
    """Puts the measured cost beside each network's scores, if it is of the same plan and code."""
    faults = []
    for name, arm in table["networks"].items():
        of_arm = [
            cost
            for cost in costs
            if (cost["dataset"], cost["configuration"], cost["arm"]) == (table["dataset"], table["configuration"], name)
        ]
        fitting = [
            cost
            for cost in of_arm
            if (cost["code"], cost["plan"]) == (arm["code"], arm["plan"]) and cost["device"] in arm["device_kinds"]
        ]
        if fitting:
            arm["cost"] = fitting[-1]["cost"]
        elif of_arm:
            faults.append(
                f"{table['dataset']}, {table['configuration']}, {name}: costs must be of the results' plan and code, "
                "got others. Run costs.py again."
            )
    return faults


def rounded(content: Any) -> Any:
    """Eight digits: the last ones differ from processor to processor."""
    if isinstance(content, dict):
        return {key: rounded(value) for key, value in content.items()}
    if isinstance(content, list):
        return [rounded(value) for value in content]
    return float(f"{content:.8g}") if isinstance(content, float) else content


def definitions(results: list[compared.Result]) -> dict[str, str]:
    """The metrics', where all results agree on them."""
    found = [result["definitions"] for result in results]
    return found[0] if found and all(other == found[0] for other in found) else {}


if __name__ == "__main__":
    raise SystemExit(main())
