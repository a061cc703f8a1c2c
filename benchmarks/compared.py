"""From result files to the numbers of a comparison: who was better on the same cases, by how much, how surely."""

from __future__ import annotations

import itertools
import json
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import results_files
from arms import ARMS
from paired import holm, mean_and_spread, paired_difference
from results_files import OF_A_CASE, Result

PER_TABLE = ("dataset", "data", "configuration", "schedule")
"""Results that differ here are not compared at all; each combination is a table of its own."""

PER_ARM = ("trainer", "plan", "code")
"""Results of one network that differ here are two networks, and must not be averaged."""

ALL = "all structures"
"""In the place of a structure: the mean over all of a case; undefined where one of them is."""


def tables(results: Iterable[Result], reference: str, names: Sequence[str]) -> tuple[list[dict[str, Any]], list[str]]:
    """A table for each combination of dataset, data, configuration and schedule, and what could not be taken in.

    Args:
        results: Of the runner.
        reference: The network that the others are compared with.
        names: The networks to show, where there are results.
    """
    groups: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        if result["recipe"]["arm"] in names:
            groups[_common(result, PER_TABLE)].append(result)
    made, faults = [], []
    for common, of_table in sorted(groups.items()):
        table, found = _table(json.loads(common), of_table, reference, names)
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
    common: dict[str, Any], results: list[Result], reference: str, names: Sequence[str]
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
        _compare(arms, reference)
    else:
        faults.append(f"{where}: results of {reference} must be there to compare with, got none. Run it.")
    shown = {name: {k: v for k, v in arm.items() if not k.startswith("_")} for name, arm in arms.items()}
    return {**common, "reference": reference, "networks": shown}, faults


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
        "between_seeds": _between_seeds(of_seed),
        "step_seconds_in_training": statistics.median(r["step_seconds_median"] for r in results),
        "code": first["recipe"]["code"],
        "plan": {key: first["recipe"]["plan"][key] for key in ("batch_size", "patch_size")},
        "planned": first["planned"],
        "resumed": {str(s): folds for s in seeds if (folds := _resumed(results, s))},
        "devices": sorted({_device(result) for result in results}),
        "device_kinds": sorted({result["device"] for result in results}),
        "_results": results,
    }


def _resumed(results: list[Result], seed: int) -> list[int]:
    return sorted(r["recipe"]["fold"] for r in results if r["recipe"]["seed"] == seed and r["resumed"])


def of_cases(results: list[Result], metric: str) -> dict[str, dict[str, float]]:
    """Per structure, and for the mean over structures, a number for each case: the mean over the seeds.

    Undefined, and so left out, where it is in one of the seeds.
    """
    found: dict[str, dict[str, list[float | None]]] = defaultdict(lambda: defaultdict(list))
    for result in results:
        for case, records in itertools.groupby(result["per_case"], key=lambda record: record["case"]):
            numbers = {record["label"]: record[metric] for record in records}
            of_all = None if None in numbers.values() else statistics.fmean(numbers.values())
            for structure, number in {**numbers, ALL: of_all}.items():
                found[structure][case].append(number)
    return {
        structure: {case: statistics.fmean(of) for case, of in sorted(cases.items()) if None not in of}
        for structure, cases in found.items()
    }


def _compare(arms: dict[str, Any], reference: str) -> None:
    """Adds every network's difference to the reference; p corrected for the number of rivals, a structure at a time.

    Of the seeds and folds alone that both have: a seed moves a mean by more than many a network does.
    """
    base = arms[reference]
    rivals = {name: arm for name, arm in arms.items() if name != reference}
    for arm in rivals.values():
        ours, theirs = _of_both(arm["_results"], base["_results"])
        dice, dice_of_base = of_cases(ours, "dice"), of_cases(theirs, "dice")
        fold_of = {record["case"]: result["recipe"]["fold"] for result in ours for record in result["per_case"]}
        arm["difference_of_seeds"] = sorted({result["recipe"]["seed"] for result in ours})
        arm["difference"] = {
            structure: _difference(dice.get(structure, {}), dice_of_base.get(structure, {}), fold_of)
            for structure in base["structures"]
        }
    for structure in base["structures"]:
        of = {name: arm["difference"][structure] for name, arm in rivals.items()}
        corrected = holm({name: d["p"] for name, d in of.items() if d["p"] is not None})
        for name, difference in of.items():
            difference["p_holm"] = corrected.get(name)


def _of_both(ours: list[Result], theirs: list[Result]) -> tuple[list[Result], list[Result]]:
    """The results whose seed and fold the other network has as well."""

    def trained(result: Result) -> tuple[int, int]:
        return result["recipe"]["seed"], result["recipe"]["fold"]

    both = {trained(r) for r in ours} & {trained(r) for r in theirs}
    return [r for r in ours if trained(r) in both], [r for r in theirs if trained(r) in both]


def _difference(ours: dict[str, float], theirs: dict[str, float], fold_of: dict[str, int]) -> dict[str, Any]:
    of_fold: dict[int, list[float]] = defaultdict(list)
    for case in sorted(set(ours) & set(theirs)):
        of_fold[fold_of[case]].append(ours[case] - theirs[case])
    better = sum(statistics.fmean(differences) > 0 for differences in of_fold.values())
    return {**paired_difference(ours, theirs), "folds": len(of_fold), "folds_better": better}


def _between_seeds(of_seed: dict[int, dict[str, float]]) -> dict[str, Any] | None:
    """The network's last seed against its first: how far apart two trainings of the same are."""
    first, last = min(of_seed), max(of_seed)
    difference = paired_difference(of_seed[last], of_seed[first])
    return None if first == last or difference["mean"] is None else {"seeds": [first, last], **difference}


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
