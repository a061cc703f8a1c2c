r"""The paper's Table 1 for every dataset that the runner has results of, with differences, intervals and costs.

    python -m benchmarks.compare.comparison --results benchmarks/results/runs \
        --costs benchmarks/results/costs.json --out benchmarks/results/comparison

Writes OUT.json, OUT.md and, for each table of which all costs are known, a figure of accuracy against cost (OUT_1.png,
...). The same results give the same bytes. Results that can't be compared (another version of the code, other data, a
broken file) are named, the others are compared, and the exit status is then 1.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.compare import presets, provenance, result_files
from benchmarks.compare.comparison_figure import draw
from benchmarks.compare.comparison_markdown import markdown
from benchmarks.compare.networks import NETWORKS
from benchmarks.compare.presets import PRESETS, Preset
from benchmarks.compare.tables import device_of, tables
from nnunet_eas.support.files import write_json, write_text

Tables = list[dict[str, Any]]


def main() -> int:
    """Reads all results and writes the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, required=True, help="the runner's folder")
    parser.add_argument("--costs", type=Path, help="the JSON of costs.py")
    parser.add_argument("--out", type=Path, required=True, help="the files to write, without an ending")
    presets.add_arguments(parser)
    parser.add_argument("--reference", choices=NETWORKS, metavar="NAME", help="compare with this network instead")
    parser.add_argument(
        "--ranking", nargs="+", choices=NETWORKS, metavar="NAME", help="an order to test, the best network first"
    )
    args = parser.parse_args()
    if not args.results.is_dir():
        parser.error(f"--results must be a folder, got {args.results}. Give the runner's --results.")
    preset = PRESETS[args.preset]
    preset = Preset(
        tuple(args.networks or preset.networks),
        args.reference or preset.reference,
        tuple(args.ranking or (() if args.networks else preset.ranking)),
    )
    made, faults = compare(args.results, args.costs, preset, args.out)
    print(args.out.with_name(f"{args.out.name}.md").read_text(encoding="utf-8"))
    if not made:
        names = ", ".join(preset.all_networks)
        faults.append(f"--results must hold results of {names}, got none in {args.results}. Run runner.py.")
    for fault in faults:
        print(f"left out: {fault}", file=sys.stderr)
    return 1 if faults else 0


def compare(results_folder: Path, costs_file: Path | None, preset: Preset, out: Path) -> tuple[Tables, list[str]]:
    """Writes the JSON, the Markdown and the figures of a comparison.

    Args:
        results_folder: The runner's folder.
        costs_file: The JSON of costs.py, or None.
        preset: What to compare.
        out: The files to write, without an ending.

    Returns:
        The tables, and what was left out of them.
    """
    results, faults = result_files.read_all(results_folder)
    costs, cost_faults = read_costs(costs_file)
    made, table_faults = tables(results, preset.reference, preset.all_networks, preset.ranking)
    if len(preset.all_networks) > 1:  # a training that only the reference has done is nothing to compare
        made = [table for table in made if set(table["networks"]) != {preset.reference}]
    for table in made:
        table_faults += add_costs(table, costs)
    definitions = results[0]["definitions"] if results else {}
    if any(result["definitions"] != definitions for result in results):
        definitions = {}
    out.parent.mkdir(parents=True, exist_ok=True)
    write_json(out.with_name(f"{out.name}.json"), rounded({"definitions": definitions, "tables": made}))
    figures: list[str | None] = []
    for number, table in enumerate(made, 1):
        complete = all("cost" in network for network in table["networks"].values())
        figures.append(f"{out.name}_{number}.png" if complete else None)
        if complete:
            draw(table, out.with_name(f"{out.name}_{number}.png"))
    write_text(out.with_name(f"{out.name}.md"), markdown(made, figures))
    return made, [*faults, *cost_faults, *table_faults]


def read_costs(path: Path | None) -> tuple[list[dict[str, Any]], list[str]]:
    """The costs that costs.py measured, or why there are none."""
    if path is None:
        return [], []
    try:
        costs = json.loads(path.read_text(encoding="utf-8"))["costs"]
        for cost in costs:
            for key in ("dataset", "configuration", "arm", "device", "plan", "cost", "environment"):
                cost[key]
            cost["code"]["sources"] = provenance.original(cost["code"]["sources"])
        return costs, []
    except (OSError, ValueError, KeyError, TypeError) as error:
        return [], [f"--costs must be a JSON of costs.py, got {path} ({type(error).__name__}). Run costs.py."]


def add_costs(table: dict[str, Any], costs: list[dict[str, Any]]) -> list[str]:
    """Adds each network's measured cost, where it was measured with the same plan and code.

    PyTorch's version may be another one, because the costs of all networks are measured in one run; the table names it.
    """
    faults = []
    for name, network in table["networks"].items():
        row = (table["dataset"], table["configuration"], name)
        measured = [cost for cost in costs if (cost["dataset"], cost["configuration"], cost["arm"]) == row]
        fitting = [
            cost
            for cost in measured
            if (_without_torch(cost["code"]), cost["plan"]) == (_without_torch(network["code"]), network["plan"])
            and cost["device"] in network["device_kinds"]
        ]
        if fitting:
            network["cost"] = fitting[-1]["cost"]
            network["cost_device"] = device_of(fitting[-1])
        elif measured:
            faults.append(
                f"{', '.join(row)}: costs must be of the results' plan and code, got others. Run costs.py again."
            )
    return faults


def _without_torch(code: dict[str, Any]) -> dict[str, Any]:
    return {**code, "versions": {name: version for name, version in code["versions"].items() if name != "torch"}}


def rounded(content: Any) -> Any:
    """The content with numbers of eight digits, because further digits differ from processor to processor."""
    if isinstance(content, dict):
        return {key: rounded(value) for key, value in content.items()}
    if isinstance(content, list):
        return [rounded(value) for value in content]
    return float(f"{content:.8g}") if isinstance(content, float) else content


if __name__ == "__main__":
    raise SystemExit(main())
