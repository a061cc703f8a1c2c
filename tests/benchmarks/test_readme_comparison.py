"""The README's tables are what the committed results give."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from arms import ABLATION

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"


PAPER = ["eas", "unet_plus_plus", "attention_unet", "unet"]
COSTS = {"ablation": "costs_of_ablation.json"}
RIVALS = ["unet", "attention_unet", "unet_plus_plus", "segnet", "deeplabv3plus"]
BLOCKS = {
    "comparison": ["--results", "benchmarks/results/runs"],
    "rivals": ["--results", "benchmarks/results/runs", "--reference", "eas", "--networks", *RIVALS],
    "ablation": ["--results", "benchmarks/results/runs", "--reference", "eas", "--networks", *ABLATION],
    "phantom_knees": [
        *("--results", "benchmarks/results/runs_of_phantom_knees", "--reference", "eas", "--networks", *PAPER),
        *("--ranking", *PAPER),
    ],
}


@pytest.mark.parametrize("block", BLOCKS)
def test_comparison(block, tmp_path):
    readme = tmp_path / "README.md"
    before, begin, rest = (ROOT / "README.md").read_text(encoding="utf-8").partition(f"<!-- {block} -->")
    readme.write_text(before + begin + "\n" + rest[rest.index(f"<!-- /{block} -->") :], encoding="utf-8")
    command = [sys.executable, "benchmarks/comparison.py", *BLOCKS[block]]
    costs = f"benchmarks/results/{COSTS.get(block, 'costs.json')}"
    more = ["--costs", costs, "--out", str(tmp_path / block), "--readme", str(readme), "--block", block]
    done = subprocess.run([*command, *more], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert readme.read_text() == (ROOT / "README.md").read_text(encoding="utf-8")
    assert (tmp_path / f"{block}.md").read_text() == (RESULTS / f"{block}.md").read_text()
    assert json.loads((tmp_path / f"{block}.json").read_text()) == json.loads((RESULTS / f"{block}.json").read_text())


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


def test_fast_path(tmp_path):
    folders = ["--before", "benchmarks/results/runs_before_recomputation", "--after", "benchmarks/results/runs"]
    command = [sys.executable, "benchmarks/fast_path.py", *folders, "--out", str(tmp_path / "fast_path.json")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads((tmp_path / "fast_path.json").read_text()) == json.loads((RESULTS / "fast_path.json").read_text())
