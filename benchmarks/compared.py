"""From result files to the numbers of a comparison: who was better on the same cases, by how much, how surely."""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import differences
import results_files
from arms import ARMS
from differences import ALL, between_seeds, of_cases
from paired import mean_and_spread
from results_files import OF_A_CASE, Result

PER_TABLE = ("dataset", "data", "configuration", "schedule")
"""Results that differ here are not compared at all; each combination is a table of its own."""

PER_ARM = ("trainer", "plan", "code")
"""Results of one network that differ here are two networks, and must not be averaged."""


def tables(
    results: Iterable[Result], reference: str, names: Sequence[str], order: Sequence[str] = ()
) -> tuple[list[dict[str, Any]], list[str]]:
    """A table for each combination of dataset, data, configuration and schedule, and what could not be taken in.

    Args:
        results: Of the runner.
        reference: The network that the others are compared with.
        names: The networks to show, where there are results.
        order: Networks in a claimed order, the best first, to test where all of them have results.
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
    seen: dict[tuple[str, str], set[str]] = defaultdict(set)
    for table in made:
        seen[table["dataset"], table["configuration"]].add(table["data"])
    faults += [
        f"{dataset}, {configuration}: data must be the same in all results, got {', '.join(sorted(data))}. Each has a "
        "table of its own; remove what is out of date."
        for (dataset, configuration), data in seen.items()
        if len(data) > 1
    ]
    return made, faults


def _table(
    common: dict[str, Any], results: list[Result], reference: str, names: Sequence[str], order: Sequence[str]
) -> tuple[dict[str, Any], list[str]]:
    by_arm = {name: [r for r in results if r["recipe"]["arm"] == name] for name in names}
    where = f"{common['dataset']}, {common['configuration']}"
    faults, arms = [], {}
    for name, of_arm in by_arm.items():
        versions = {_common(result, PER_ARM) for result in of_arm}
        if len(versions) > 1:
            keys = ", ".join(sorted(result["key"] for result in of_arm))
            faults.append(
                f"{where}, {name}: results must be of one version of plan and code, got {len(versions)} ({keys}). "
                "Remove what is out of date."
            )
        elif of_arm:
            arms[name] = _arm(name, of_arm)
    if reference in arms:
        differences.compare(arms, by_arm, reference)
    else:
        faults.append(f"{where}: results of {reference} must be there to compare with, got none. Run it.")
    ranked = {"ranking": differences.ranking(by_arm, order)} if order and set(order) <= set(arms) else {}
    return {**common, "reference": reference, "networks": arms, **ranked}, faults


def _arm(name: str, results: list[Result]) -> dict[str, Any]:
    first = results[0]
    structures = list(dict.fromkeys(record["label"] for record in first["per_case"]))
    seeds = sorted({result["recipe"]["seed"] for result in results})
    values = {metric: of_cases(results, metric) for metric in OF_A_CASE}
    of_seed = {
        seed: of_cases([r for r in results if r["recipe"]["seed"] == seed], "dice").get(ALL, {}) for seed in seeds
    }
    return {
        "title": ARMS[name].title,
        "folds": {str(s): sorted(r["recipe"]["fold"] for r in results if r["recipe"]["seed"] == s) for s in seeds},
        "cases": len({record["case"] for result in results for record in result["per_case"]}),
        "structures": {
            s: {m: mean_and_spread(list(values[m].get(s, {}).values())) for m in OF_A_CASE} for s in (*structures, ALL)
        },
        "mean_dice_of_seeds": {str(seed): statistics.fmean(cases.values()) for seed, cases in of_seed.items() if cases},
        "between_seeds": between_seeds(of_seed),
        "step_seconds_in_training": statistics.median(r["step_seconds_median"] for r in results),
        "code": first["recipe"]["code"],
        "plan": {key: first["recipe"]["plan"][key] for key in ("batch_size", "patch_size")},
        "planned": first["planned"],
        "resumed": {str(s): folds for s in seeds if (folds := _resumed(results, s))},
        "devices": sorted({_device(result) for result in results}),
        "device_kinds": sorted({result["device"] for result in results}),
    }


def _resumed(results: list[Result], seed: int) -> list[int]:
    return sorted(r["recipe"]["fold"] for r in results if r["recipe"]["seed"] == seed and r["resumed"])


def _common(result: Result, keys: tuple[str, ...]) -> str:
    return json.dumps({key: result["recipe"][key] for key in keys}, sort_keys=True)


def _device(result: Result) -> str:
    found = result["environment"]
    return f"{found['gpu'] if result['device'] == 'cuda' else found['processor']}, PyTorch {found['torch']}"


def read(folder: Any) -> tuple[list[Result], list[str]]:
    """All results of a folder, and what is wrong with the other files."""
    found = list(results_files.read_all(folder))
    good = [result for _, result in found if not isinstance(result, ValueError)]
    return good, [str(result) for _, result in found if isinstance(result, ValueError)]
