import math
import re

import pytest

from nnunet_eas.reporting.charts import Axis, limits, model_mark, structure_mark
from nnunet_eas.reporting.columns import COLUMNS
from nnunet_eas.reporting.page import TEMPLATES
from nnunet_eas.reporting.training_log import Epoch

DICE = COLUMNS[0]
CHARTS = TEMPLATES.get_template("charts.html").module


def marks(values):
    return {model: model_mark(index) for index, model in enumerate(values)}


def training_charts(curves):
    return str(CHARTS.training(curves, marks(curves)))


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (-0.93, 0.31, [-0.5, 0]),
        (97.2, 99.9, [98, 99]),
        (0.0011, 0.0042, [0.002, 0.003, 0.004]),
        (0, 12000, [0, 5000, 10000]),
    ],
)
def test_ticks_are_round(low, high, expected):
    assert Axis(low, high, 0, 1).ticks() == pytest.approx(expected)


def test_limits():
    assert limits([0, 100]) == (-6, 106)
    assert limits([0, 100], floor=0, ceiling=100) == (0, 100)
    assert limits([5, math.nan, math.inf]) == (4.75, 5.25)
    assert limits([100], ceiling=100) == (95, 100)
    assert limits([]) == (0, 1)


def test_marks_differ_in_two_ways_for_as_many_as_one_reads():
    models = [model_mark(index) for index in range(5)]
    assert len({colour for colour, _, _ in models}) == len({marker for _, _, marker in models}) == 5
    # neighbours differ in their dashes, and colour with dashes comes again late
    assert all(models[index][1] != models[index + 1][1] for index in range(4))
    assert len({structure_mark(index) for index in range(24)}) == 24
    assert all(structure_mark(index)[1] != structure_mark(index + 1)[1] for index in range(5))


def test_a_distribution_shows_every_case():
    values = {"one": {f"case {n}": n / 10 for n in range(1, 6)}, "two": {}, "three": {"case 1": 1.0}}
    chart = str(CHARTS.distribution("box", DICE, values, marks(values)))
    assert chart.count("<title>") == 6
    assert "<title>case 4: 40.00</title>" in chart
    assert "medians: one 30.00, two has no value, three 100.00" in chart
    assert "nan" not in chart


def test_curves_of_all_folds_and_their_mean():
    curve = {0: Epoch(1.0, 2.0, 0.25), 1: Epoch(0.5, math.nan, 0.5)}
    charts = training_charts({"one": {"fold_0": curve, "fold_1": curve}, "<two>": {"fold_0": curve}})
    assert charts.count("<svg") == 3
    assert charts.count('class="fold"') == 3 * 2
    assert charts.count('class="mean"') == 3 * 2
    assert "one ends at 0.5 in epoch 2; &lt;two&gt; ends at" in charts
    assert not re.search(r'points="[^"]*nan', charts)
    # both losses have one scale
    scales = [re.findall(r'text-anchor="end"[^>]*>([^<]+)<', chart) for chart in charts.split("</svg>")[:3]]
    assert scales[0] == scales[1] != scales[2]


def test_folds_without_a_log_are_named():
    curve = {0: Epoch(1.0, 2.0, 0.25)}
    charts = training_charts({"one": {"fold_0": curve, "fold_1": {}}, "two": {"fold_0": {}}})
    assert "one: no epoch in a training_log_*.txt of fold_1" in charts
    assert "two: no epoch in a training_log_*.txt of fold_0" in charts
    assert charts.count('class="mean"') == 3
    assert "<svg" not in training_charts({"two": {"fold_0": {}}})


def test_no_minus_zero():
    assert COLUMNS[-1].text(-0.4) == "0"
    assert COLUMNS[-1].text(-1.0) == "\u22121"
    assert DICE.text(None) == "\u2013"
