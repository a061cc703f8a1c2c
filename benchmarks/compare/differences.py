"""Differences between networks on the same cases, with intervals and tests."""

from __future__ import annotations

import itertools
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.compare.result_files import Result

ALL = "all structures"
"""Stands for the mean over all structures of a case, which is undefined where one of them is."""

RESAMPLES = 10_000


def paired_difference(ours: Mapping[str, float], reference: Mapping[str, float]) -> dict[str, Any]:
    """The mean of (ours - reference) over the cases that both have, with its interval and a test of its sign.

    The interval is the 95 % percentile bootstrap over cases (10 000 resamples with a fixed seed), the test is
    Wilcoxon's signed-rank test, two-sided. Both describe other cases under the same trainings; several seeds show how
    much another training would differ.

    Args:
        ours: A number for each case.
        reference: A number for each case.

    Returns:
        cases, mean, low, high, p. p is 1 where no case differs. With fewer than two cases all but `cases` are None.
    """
    cases = sorted(set(ours) & set(reference))
    if len(cases) < 2:
        return {"cases": len(cases), "mean": None, "low": None, "high": None, "p": None}
    differences = np.array([ours[case] - reference[case] for case in cases])
    drawn = np.random.default_rng(0).integers(len(cases), size=(RESAMPLES, len(cases)))
    low, high = np.percentile(differences[drawn].mean(axis=1), [2.5, 97.5])
    p = float(stats.wilcoxon(differences).pvalue) if differences.any() else 1.0
    return {"cases": len(cases), "mean": float(differences.mean()), "low": float(low), "high": float(high), "p": p}


def holm(p_values: Mapping[Any, float]) -> dict[Any, float]:
    """P values corrected for multiple tests (Holm 1979)."""
    corrected, at_least = {}, 0.0
    for position, (name, p) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        at_least = max(at_least, min(1.0, p * (len(p_values) - position)))
        corrected[name] = at_least
    return {name: corrected[name] for name in p_values}


def mean_and_spread(values: Sequence[float]) -> dict[str, float | None]:
    """Mean, sample standard deviation (None for fewer than two values) and number of values."""
    return {
        "mean": statistics.fmean(values) if values else None,
        "sd": statistics.stdev(values) if len(values) > 1 else None,
        "n": len(values),
    }


def by_case(results: list[Result], metric: str) -> dict[str, dict[str, float]]:
    """A metric for each structure (and for `ALL`) and case: the mean over the seeds, where it is defined in all."""
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


def add_differences(networks: dict[str, Any], results: Mapping[str, list[Result]], reference: str) -> None:
    """Adds every network's difference to the reference, with p corrected for the number of networks.

    Only seeds and folds that both have are compared, because a seed moves a mean by more than many a network does.
    """
    structures = networks[reference]["structures"]
    others = {name: network for name, network in networks.items() if name != reference}
    for name, network in others.items():
        ours, theirs = _common_trainings(results[name], results[reference])
        network["difference_of_seeds"] = sorted({result["recipe"]["seed"] for result in ours})
        network["difference"] = {structure: _difference(ours, theirs, structure) for structure in structures}
    for structure in structures:
        _add_corrected_p([network["difference"][structure] for network in others.values()])


def ranking(results: Mapping[str, list[Result]], order: Sequence[str]) -> list[dict[str, Any]]:
    """Each network of a claimed order against the next one, with p corrected for their number."""
    steps = [
        {"better": better, "worse": worse, **_difference(*_common_trainings(results[better], results[worse]), ALL)}
        for better, worse in itertools.pairwise(order)
    ]
    _add_corrected_p(steps)
    return steps


def between_seeds(dice_of_seeds: dict[int, dict[str, float]]) -> dict[str, Any] | None:
    """The network's last seed against its first: how far apart two trainings of one network are."""
    first, last = min(dice_of_seeds), max(dice_of_seeds)
    difference = paired_difference(dice_of_seeds[last], dice_of_seeds[first])
    return None if first == last or difference["mean"] is None else {"seeds": [first, last], **difference}


def _common_trainings(ours: list[Result], theirs: list[Result]) -> tuple[list[Result], list[Result]]:
    """The results of both whose seed and fold the other has as well."""

    def training(result: Result) -> tuple[int, int]:
        return result["recipe"]["seed"], result["recipe"]["fold"]

    both = {training(r) for r in ours} & {training(r) for r in theirs}
    return [r for r in ours if training(r) in both], [r for r in theirs if training(r) in both]


def _difference(ours: list[Result], theirs: list[Result], structure: str) -> dict[str, Any]:
    dice, dice_of_theirs = by_case(ours, "dice").get(structure, {}), by_case(theirs, "dice").get(structure, {})
    fold_of = {record["case"]: result["recipe"]["fold"] for result in ours for record in result["per_case"]}
    of_fold: dict[int, list[float]] = defaultdict(list)
    for case in sorted(set(dice) & set(dice_of_theirs)):
        of_fold[fold_of[case]].append(dice[case] - dice_of_theirs[case])
    better = sum(statistics.fmean(differences) > 0 for differences in of_fold.values())
    return {**paired_difference(dice, dice_of_theirs), "folds": len(of_fold), "folds_better": better}


def _add_corrected_p(differences: list[dict[str, Any]]) -> None:
    corrected = holm({number: d["p"] for number, d in enumerate(differences) if d["p"] is not None})
    for number, difference in enumerate(differences):
        difference["p_holm"] = corrected.get(number)
