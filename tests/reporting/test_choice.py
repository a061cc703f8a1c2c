import pytest

from nnunet_eas.reporting.choice import case_scores, left_out_cases, shown_cases


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ({}, {}),
        ({"a": 1.0}, {"a": "best, median and worst"}),
        ({"a": 0.5, "b": 0.75}, {"b": "best", "a": "median and worst"}),
        ({"a": 0.5, "b": 0.75, "c": 0.25}, {"b": "best", "a": "median", "c": "worst"}),
        # the lower of the two in the middle
        ({"a": 0.1, "b": 0.2, "c": 0.3, "d": 0.4}, {"d": "best", "b": "median", "a": "worst"}),
        # equal ones by name
        ({"c": 0.5, "b": 0.5, "a": 0.5}, {"a": "best", "b": "median", "c": "worst"}),
    ],
)
def test_best_median_and_worst(scores, expected):
    assert shown_cases(scores) == expected
    assert list(shown_cases(scores)) == list(expected)


def test_a_score_is_the_mean_over_structures_averaged_over_models():
    first = [{"case": "a", "dice": 1.0}, {"case": "a", "dice": 0.5}, {"case": "b", "dice": None}]
    second = [{"case": "a", "dice": None}, {"case": "a", "dice": 0.25}, {"case": "b", "dice": 0.0}]
    assert case_scores([first, second]) == {"a": 0.5, "b": 0.0}
    assert case_scores([[{"case": "a", "dice": None}]]) == {}


def test_cases_that_a_model_lacks_or_that_are_faulty_are_left_out():
    cases = {"one": ["b", "a", "c"], "two": ["a", "b", "d"], "three": ["a", "b", "c"]}
    faults = {"one": {"b": ["cut", "turned"]}, "two": {"c": ["twice"], "fold_1": ["empty"]}, "three": {}}
    assert left_out_cases(cases, faults) == {
        "b": ["one: cut", "one: turned"],
        "c": ["two: twice"],
        "d": ["one has no prediction of it", "three has no prediction of it"],
        "fold_1": ["two: empty"],
    }
