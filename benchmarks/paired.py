"""Differences between two networks on the same cases."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

RESAMPLES = 10_000


def paired_difference(ours: Mapping[str, float], reference: Mapping[str, float]) -> dict[str, Any]:
    """Mean over the cases that both have of (ours - reference), how sure it is, and a test of its sign.

    The interval is the bootstrap's percentiles over cases (95 %, 10 000 resamples, always the same ones), the test is
    Wilcoxon's signed ranks, two-sided. Both speak of other cases under these very trainings; how much another training
    would differ is what several seeds show.

    Args:
        ours: A number for each case.
        reference: Likewise.

    Returns:
        cases, mean, low, high, p. p is 1 where no case differs. All but `cases` are None of fewer than two cases.
    """
    cases = sorted(set(ours) & set(reference))
    if len(cases) < 2:
        return {"cases": len(cases), "mean": None, "low": None, "high": None, "p": None}
    differences = np.array([ours[case] - reference[case] for case in cases])
    drawn = np.random.default_rng(0).integers(len(cases), size=(RESAMPLES, len(cases)))
    low, high = np.percentile(differences[drawn].mean(axis=1), [2.5, 97.5])
    p = float(stats.wilcoxon(differences).pvalue) if differences.any() else 1.0
    return {"cases": len(cases), "mean": float(differences.mean()), "low": float(low), "high": float(high), "p": p}


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """P values corrected for being several (Holm 1979): each times the number of those that are not smaller.

    Never below one that was smaller before, and at most 1.
    """
    corrected, at_least = {}, 0.0
    for position, (name, p) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        at_least = max(at_least, min(1.0, p * (len(p_values) - position)))
        corrected[name] = at_least
    return {name: corrected[name] for name in p_values}


def mean_and_spread(values: Sequence[float]) -> dict[str, float | None]:
    """Mean, sample standard deviation (None of fewer than two) and number."""
    return {
        "mean": statistics.fmean(values) if values else None,
        "sd": statistics.stdev(values) if len(values) > 1 else None,
        "n": len(values),
    }
