"""What a shorter training costs, on results whose numbers one can work out."""

import lengths
import pytest
from benchmarks.made_results import FOLDS, result, write_results

NONE = dict.fromkeys("abcd", 0.0)
LONG = {"epochs": 50, "iterations": 40, "val_iterations": 2}


def of_length(arm, epochs, offsets, trained):
    """Both folds of seed 0, of which each was trained for `trained` epochs of 40."""
    made = [result(arm, fold, 0, offsets, schedule={**LONG, "epochs": epochs}) for fold in FOLDS]
    return [{**one, "epochs": [{"epoch": e, "iterations": 40} for e in range(n)]} for one, n in zip(made, trained)]


@pytest.fixture
def rows():
    lower = {**NONE, "a": -0.04, "d": -0.02}
    made = of_length("eas", 10, lower, (10, 10)) + of_length("eas_earlystop", 50, NONE, (20, 50))
    return lengths.compare(made + of_length("eas", 50, NONE, (50, 50)) + [result("default", 0, 0)])


def test_the_longest_comes_first_and_is_what_the_others_are_compared_with(rows):
    assert [(row["title"], row["epochs"], row["iterations"]) for row in rows] == [
        ("EAS U-Net", 50, 2000),
        ("EAS U-Net, stopped early", 50, 1400),
        ("EAS U-Net", 10, 400),
    ]
    # of a, b, d; in c one structure is nowhere
    assert [row["dice"] for row in rows] == pytest.approx([(0.7 + 0.6 + 0.6) / 3] * 2 + [(0.66 + 0.6 + 0.58) / 3])
    assert "difference" not in rows[0]
    assert [row["difference"]["mean"] for row in rows[1:]] == pytest.approx([0, -0.02])
    assert rows[1]["iterations_of_folds"] == [800, 2000]


def test_the_table(rows):
    first, early, short = lengths.table(rows).splitlines()[2:]
    assert first == "| EAS U-Net | 2000 | 3 (2 folds) | 63.33 |  |"
    assert early.startswith("| EAS U-Net, stopped early | 1400 of 2000 | 3 (2 folds) | 63.33 | +0.00 [")
    assert short.startswith("| EAS U-Net | 400 | 3 (2 folds) | 61.33 | -2.00 [")


def test_two_versions_are_not_mixed():
    made = of_length("eas", 10, NONE, (10, 10)) + [result("eas", 0, 0, data="data2", schedule=LONG)]
    with pytest.raises(SystemExit, match="must hold one version of eas, got several"):
        lengths.compare(made)


def test_command(tmp_path, monkeypatch, capsys):
    write_results(tmp_path / "runs", "eas", "default")
    readme = tmp_path / "README.md"
    readme.write_text("<!-- lengths -->\nWhat it said before.\n<!-- /lengths -->\n")
    command = ["lengths.py", "--results", tmp_path / "runs", "--dataset", "Dataset901_Blobs", "--readme", readme]
    monkeypatch.setattr("sys.argv", [*map(str, command), "--out", str(tmp_path / "lengths.json")])
    lengths.main()
    assert "| EAS U-Net | 25 | 3 (2 folds) |" in readme.read_text()
    assert "before" not in readme.read_text()
    assert capsys.readouterr().out.startswith("| training |")
