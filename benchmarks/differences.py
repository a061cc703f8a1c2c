"""From the results of several networks to their differences on the same cases."""

from __future__ import annotations

import itertools
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from paired import holm, paired_difference
from results_files import Result

ALL = "all structures"
"""In the place of a structure: the mean over all of a case; undefined where one of them is."""


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


def compare(arms: dict[str, Any], results: Mapping[str, list[Result]], reference: str) -> None:
    """Adds every network's difference to the reference; p corrected for the number of rivals, a structure at a time.

    Of the seeds and folds alone that both have: a seed moves a mean by more than many a network does.
    """
    structures = arms[reference]["structures"]
    rivals = {name: arm for name, arm in arms.items() if name != reference}
    for name, arm in rivals.items():
        ours, theirs = _of_both(results[name], results[reference])
        arm["difference_of_seeds"] = sorted({result["recipe"]["seed"] for result in ours})
        arm["difference"] = {structure: _difference(ours, theirs, structure) for structure in structures}
    for structure in structures:
        _correct([arm["difference"][structure] for arm in rivals.values()])


def ranking(results: Mapping[str, list[Result]], order: Sequence[str]) -> list[dict[str, Any]]:
    """Of an order that someone has claimed: each network against the next one in it, p corrected for their number."""
    steps = [
        {"better": better, "worse": worse, **_difference(*_of_both(results[better], results[worse]), ALL)}
        for better, worse in itertools.pairwise(order)
    ]
    _correct(steps)
    return steps


def _of_both(ours: list[Result], theirs: list[Result]) -> tuple[list[Result], list[Result]]:
    """The results whose seed and fold the other network has as well."""

    def trained(result: Result) -> tuple[int, int]:
        return result["recipe"]["seed"], result["recipe"]["fold"]

    both = {trained(r) for r in ours} & {trained(r) for r in theirs}
    return [r for r in ours if trained(r) in both], [r for r in theirs if trained(r) in both]


def _difference(ours: list[Result], theirs: list[Result], structure: str) -> dict[str, Any]:
    dice, dice_of_theirs = of_cases(ours, "dice").get(structure, {}), of_cases(theirs, "dice").get(structure, {})
    fold_of = {record["case"]: result["recipe"]["fold"] for result in ours for record in result["per_case"]}
    of_fold: dict[int, list[float]] = defaultdict(list)
    for case in sorted(set(dice) & set(dice_of_theirs)):
        of_fold[fold_of[case]].append(dice[case] - dice_of_theirs[case])
    better = sum(statistics.fmean(differences) > 0 for differences in of_fold.values())
    return {**paired_difference(dice, dice_of_theirs), "folds": len(of_fold), "folds_better": better}


def _correct(differences: list[dict[str, Any]]) -> None:
    corrected = holm({str(number): d["p"] for number, d in enumerate(differences) if d["p"] is not None})
    for number, difference in enumerate(differences):
        difference["p_holm"] = corrected.get(str(number))


def between_seeds(of_seed: dict[int, dict[str, float]]) -> dict[str, Any] | None:
    """The network's last seed against its first: how far apart two trainings of the same are."""
    first, last = min(of_seed), max(of_seed)
    difference = paired_difference(of_seed[last], of_seed[first])
    return None if first == last or difference["mean"] is None else {"seeds": [first, last], **difference}
