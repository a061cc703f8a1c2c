"""The README's tables are what the committed results give."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"


@pytest.fixture(scope="module")
def made_again(tmp_path_factory):
    """README and comparison, from the committed results by the committed script."""
    folder = tmp_path_factory.mktemp("comparison")
    readme = folder / "README.md"
    before, begin, rest = (ROOT / "README.md").read_text(encoding="utf-8").partition("<!-- comparison -->")
    readme.write_text(before + begin + "\n" + rest[rest.index("<!-- /comparison -->") :], encoding="utf-8")
    command = [sys.executable, "benchmarks/comparison.py", "--results", "benchmarks/results/runs"]
    more = ["--costs", "benchmarks/results/costs.json", "--out", str(folder / "comparison"), "--readme", str(readme)]
    done = subprocess.run([*command, *more], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return folder


def test_readme(made_again):
    assert (made_again / "README.md").read_text() == (ROOT / "README.md").read_text(encoding="utf-8")


def test_comparison(made_again):
    assert (made_again / "comparison.md").read_text() == (RESULTS / "comparison.md").read_text()
    assert json.loads((made_again / "comparison.json").read_text()) == json.loads(
        (RESULTS / "comparison.json").read_text()
    )


def test_speed(tmp_path):
    readme = tmp_path / "README.md"
    before, begin, rest = (ROOT / "README.md").read_text(encoding="utf-8").partition("<!-- speed -->")
    readme.write_text(before + begin + rest[rest.index("<!-- /speed -->") :], encoding="utf-8")
    results = ["benchmarks/results/speed_cpu.json", "--beside", "benchmarks/results/speed_cpu_quick.json"]
    command = [sys.executable, "benchmarks/speed_text.py", *results, "--readme", str(readme)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert readme.read_text() == (ROOT / "README.md").read_text(encoding="utf-8")


def test_lengths(tmp_path):
    readme = tmp_path / "README.md"
    before, begin, rest = (ROOT / "README.md").read_text(encoding="utf-8").partition("<!-- lengths -->")
    readme.write_text(before + begin + rest[rest.index("<!-- /lengths -->") :], encoding="utf-8")
    results = ["benchmarks/results/runs", "benchmarks/results/runs_of_lengths", "--dataset", "Dataset004_Hippocampus"]
    out = tmp_path / "lengths.json"
    command = [sys.executable, "benchmarks/lengths.py", "--results", *results, "--out", out, "--readme", readme]
    done = subprocess.run([*map(str, command)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert readme.read_text() == (ROOT / "README.md").read_text(encoding="utf-8")
    assert json.loads(out.read_text()) == json.loads((RESULTS / "lengths.json").read_text())
