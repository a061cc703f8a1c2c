"""The choice of the cases that a report compares, and of those that it shows."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import groupby
from operator import itemgetter

from nnunet_eas.evaluation.case_scores import Record
from nnunet_eas.evaluation.cases import Faults


def left_out_cases(cases: Mapping[str, Collection[str]], faults: Mapping[str, Faults]) -> Faults:
    """The reasons for all cases that are not compared, from the models' complete cases and their faults."""
    identifiers = set().union(*cases.values())
    reasons: Faults = {}
    for name in sorted(identifiers.union(*faults.values())):
        for model, of_model in cases.items():
            if name in faults[model]:
                reasons.setdefault(name, []).extend(f"{model}: {text}" for text in faults[model][name])
            elif name in identifiers and name not in of_model:
                reasons.setdefault(name, []).append(f"{model} has no prediction of it")
    return reasons


def case_scores(records: Iterable[Sequence[Record]]) -> dict[str, float]:
    """By case the mean over its structures of Dice, averaged over the models; cases without any Dice are left out."""
    dice: dict[str, list[float]] = {}
    for of_model in records:
        for case, of_case in groupby(of_model, itemgetter("case")):
            defined = [record["dice"] for record in of_case if record["dice"] is not None]
            if defined:
                dice.setdefault(case, []).append(statistics.fmean(defined))
    return {case: statistics.fmean(values) for case, values in dice.items()}


def shown_cases(scores: Mapping[str, float]) -> dict[str, str]:
    """Best, median and worst case with these words; with fewer than three cases one has several of them."""
    if not scores:
        return {}
    falling = sorted(scores, key=lambda case: (-scores[case], case))
    roles: dict[str, list[str]] = {}
    for role, position in (("best", 0), ("median", len(falling) // 2), ("worst", len(falling) - 1)):
        roles.setdefault(falling[position], []).append(role)
    return {case: " and ".join(", ".join(of_case).rsplit(", ", 1)) for case, of_case in roles.items()}
