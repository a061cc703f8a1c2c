"""From result files to the numbers of a table: scores of each network, and differences to a reference."""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.compare.differences import ALL, add_differences, between_seeds, by_case, mean_and_spread, ranking
from benchmarks.compare.networks import NETWORKS
from benchmarks.compare.result_files import METRICS, Result

PER_TABLE = ("dataset", "data", "configuration", "schedule")
"""Parts of the recipe that are the same within a table; each combination has a table of its own."""

PER_NETWORK = ("trainer", "plan", "code")
"""Parts of the recipe that are the same in all results of a network; otherwise it is left out."""


def tables(
    results: Iterable[Result], reference: str, names: Sequence[str], order: Sequence[str] = ()
) -> tuple[list[dict[str, Any]], list[str]]:
    """A table for each combination of dataset, data, configuration and schedule, and what was left out.

    Args:
        results: Results of the runner.
        reference: The network that the others are compared with.
        names: The networks to show where they have results.
        order: Networks in a claimed order, the best first, tested where all of them have results.
    """
    groups: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        if result["recipe"]["arm"] in names:
            groups[_common(result, PER_TABLE)].append(result)
    made, faults = [], []
    for common, of_table in sorted(groups.items()):
        table, found = _table(json.loads(common), of_table, reference, names, order)
        made.append(table)
        faults += found
    data: dict[tuple[str, str], set[str]] = defaultdict(set)
    for table in made:
        data[table["dataset"], table["configuration"]].add(table["data"])
    faults += [
        f"{dataset}, {configuration}: data must be the same in all results, got {', '.join(sorted(versions))}. Each "
        "has a table of its own; remove what is out of date."
        for (dataset, configuration), versions in data.items()
        if len(versions) > 1
    ]
    return made, faults


def _table(
    common: dict[str, Any], results: list[Result], reference: str, names: Sequence[str], order: Sequence[str]
) -> tuple[dict[str, Any], list[str]]:
    by_network = {name: [r for r in results if r["recipe"]["arm"] == name] for name in names}
    where = f"{common['dataset']}, {common['configuration']}"
    faults, networks = [], {}
    for name, found in by_network.items():
        versions = {_common(result, PER_NETWORK) for result in found}
        if len(versions) > 1:
            keys = ", ".join(sorted(result["key"] for result in found))
            faults.append(
                f"{where}, {name}: results must be of one version of plan and code, got {len(versions)} ({keys}). "
                "Remove what is out of date."
            )
        elif found:
            networks[name] = _network(name, found)
    if reference in networks:
        add_differences(networks, by_network, reference)
    else:
        faults.append(f"{where}: results of {reference} must be there to compare with, got none. Run it.")
    ranked = {"ranking": ranking(by_network, order)} if order and set(order) <= set(networks) else {}
    return {**common, "reference": reference, "networks": networks, **ranked}, faults


def _network(name: str, results: list[Result]) -> dict[str, Any]:
    recipe = results[0]["recipe"]
    structures = list(dict.fromkeys(record["label"] for record in results[0]["per_case"]))
    of_seed: dict[int, list[Result]] = defaultdict(list)
    for result in sorted(results, key=lambda r: (r["recipe"]["seed"], r["recipe"]["fold"])):
        of_seed[result["recipe"]["seed"]].append(result)
    values = {metric: by_case(results, metric) for metric in METRICS}
    dice = {seed: by_case(found, "dice").get(ALL, {}) for seed, found in of_seed.items()}
    folds = {str(seed): [r["recipe"]["fold"] for r in found] for seed, found in of_seed.items()}
    resumed = {str(seed): [r["recipe"]["fold"] for r in found if r["resumed"]] for seed, found in of_seed.items()}
    return {
        "title": NETWORKS[name].title,
        "folds": folds,
        "cases": len({record["case"] for result in results for record in result["per_case"]}),
        "structures": {
            s: {m: mean_and_spread(list(values[m].get(s, {}).values())) for m in METRICS} for s in (*structures, ALL)
        },
        "mean_dice_of_seeds": {str(seed): statistics.fmean(cases.values()) for seed, cases in dice.items() if cases},
        "between_seeds": between_seeds(dice),
        "step_seconds_in_training": statistics.median(r["step_seconds_median"] for r in results),
        "code": recipe["code"],
        "plan": {key: recipe["plan"][key] for key in ("batch_size", "patch_size")},
        "planned": results[0]["planned"],
        "resumed": {seed: found for seed, found in resumed.items() if found},
        "devices": sorted({device_of(result) for result in results}),
        "device_kinds": sorted({result["device"] for result in results}),
    }


def _common(result: Result, keys: tuple[str, ...]) -> str:
    return json.dumps({key: result["recipe"][key] for key in keys}, sort_keys=True)


def device_of(result: Result) -> str:
    """The device of a result or of a row of costs.py, with PyTorch's version."""
    found = result["environment"]
    return f"{found['gpu'] if result['device'] == 'cuda' else found['processor']}, PyTorch {found['torch']}"
