"""Differences between two networks on the same cases, against values worked out by hand and SciPy's bootstrap."""

import numpy as np
import pytest
from scipy import stats

from benchmarks.compare.differences import holm, mean_and_spread, paired_difference

OURS = {"a": 0.90, "b": 0.80, "c": 0.75}
REFERENCE = {"a": 0.80, "b": 0.60, "c": 0.80}

DIFFERENCES = np.random.default_rng(1).gamma(1.0, 0.02, size=40) - 0.01  # lopsided
MANY = {f"case{number:02d}": 0.5 + d for number, d in enumerate(DIFFERENCES)}
REFERENCE_OF_MANY = dict.fromkeys(MANY, 0.5)


class TestHolm:
    def test_by_hand(self):
        # sorted 0.01, 0.03, 0.04 times 3, 2, 1 gives 0.03, 0.06, 0.04; the last must not fall below the one before
        corrected = holm({"x": 0.01, "y": 0.04, "z": 0.03})
        assert corrected == pytest.approx({"x": 0.03, "y": 0.06, "z": 0.06})
        assert list(corrected) == ["x", "y", "z"]

    def test_one_stays_as_it_is(self):
        assert holm({"x": 0.04}) == {"x": 0.04}

    def test_at_most_one(self):
        assert holm({"x": 0.6, "y": 0.7}) == {"x": 1.0, "y": 1.0}

    def test_none(self):
        assert holm({}) == {}

    def test_is_monotone_and_never_below_the_p_value(self):
        p = dict(enumerate(np.random.default_rng(0).uniform(0, 0.2, size=20)))
        corrected = holm(p)
        in_order = [corrected[name] for name in sorted(p, key=p.get)]
        assert in_order == sorted(in_order)
        assert all(p[name] <= corrected[name] <= 1 for name in p)


class TestPairedDifference:
    def test_by_hand(self):
        # differences 0.1, 0.2, -0.05: the negative one has rank 1, and 2 of 8 ways to give signs sum to at most 1
        found = paired_difference(OURS, REFERENCE)
        assert (found["cases"], found["mean"], found["p"]) == (3, pytest.approx(0.25 / 3), pytest.approx(0.5))

    def test_five_cases_better_in_each(self):
        ours = {case: 0.5 + number / 100 for number, case in enumerate("abcde", 1)}
        assert paired_difference(ours, dict.fromkeys("abcde", 0.5))["p"] == pytest.approx(2 / 2**5)

    def test_the_other_way_round(self):
        there, back = paired_difference(OURS, REFERENCE), paired_difference(REFERENCE, OURS)
        assert there["mean"] == pytest.approx(-back["mean"])
        assert (there["low"], there["high"]) == (pytest.approx(-back["high"]), pytest.approx(-back["low"]))
        assert there["p"] == back["p"]

    def test_only_common_cases(self):
        assert paired_difference({**OURS, "mine": 0.1}, {**REFERENCE, "theirs": 0.9}) == paired_difference(
            OURS, REFERENCE
        )

    def test_a_case_is_paired_by_its_name(self):
        reversed_order = dict(reversed(MANY.items()))
        assert paired_difference(reversed_order, REFERENCE_OF_MANY) == paired_difference(MANY, REFERENCE_OF_MANY)

    def test_the_same_numbers_twice(self):
        assert paired_difference(MANY, REFERENCE_OF_MANY) == paired_difference(MANY, REFERENCE_OF_MANY)

    @pytest.mark.parametrize(("ours", "cases"), [({}, 0), ({"a": 0.9}, 1), ({"a": 0.9, "elsewhere": 0.9}, 1)])
    def test_fewer_than_two_cases_say_nothing(self, ours, cases):
        nothing = dict.fromkeys(("mean", "low", "high", "p"))
        assert paired_difference(ours, REFERENCE) == {"cases": cases, **nothing}

    def test_no_difference(self):
        expected = {"cases": 3, "mean": 0.0, "low": 0.0, "high": 0.0, "p": 1.0}
        assert paired_difference(OURS, OURS) == expected

    def test_interval_of_two_cases(self):
        # a quarter of the resamples holds the one case alone, a quarter the other
        found = paired_difference({"a": 0.4, "b": 0.7}, {"a": 0.5, "b": 0.5})
        assert (found["low"], found["high"]) == (pytest.approx(-0.1), pytest.approx(0.2))

    def test_interval_against_scipy(self):
        found = paired_difference(MANY, REFERENCE_OF_MANY)
        theirs = stats.bootstrap((DIFFERENCES,), np.mean, n_resamples=20_000, method="percentile", random_state=2)
        width = theirs.confidence_interval.high - theirs.confidence_interval.low
        assert found["low"] == pytest.approx(theirs.confidence_interval.low, abs=0.04 * width)
        assert found["high"] == pytest.approx(theirs.confidence_interval.high, abs=0.04 * width)
        assert found["low"] < found["mean"] < found["high"]
        # and the interval is not forced to be even around the mean
        assert found["high"] - found["mean"] != pytest.approx(found["mean"] - found["low"], rel=0.01)


class TestMeanAndSpread:
    def test_by_hand(self):
        assert mean_and_spread([1.0, 2.0, 6.0]) == {"mean": 3.0, "sd": pytest.approx(7**0.5), "n": 3}

    def test_of_one(self):
        assert mean_and_spread([2.0]) == {"mean": 2.0, "sd": None, "n": 1}

    def test_of_none(self):
        assert mean_and_spread([]) == {"mean": None, "sd": None, "n": 0}
