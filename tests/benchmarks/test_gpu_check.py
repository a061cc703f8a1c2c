"""The first hour on a GPU, rehearsed: with a step that fails, and once more without.

TEST_ALL_STEPS=1 rehearses every step, which takes minutes; the steps here run each script that a step runs, but the
one of the trainings, which has tests of its own.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest

from benchmarks import gpu_check
from benchmarks.commands import ROOT

pytestmark = pytest.mark.slow

STEPS = ("memory", "steps 3d_fullres", "commands 2d")
if "TEST_ALL_STEPS" in os.environ:
    STEPS = tuple(gpu_check.steps(Path(), rehearse=True))


def rehearse(work):
    command = [ROOT / "benchmarks" / "gpu_check.sh", work, "--rehearse", *STEPS]
    return subprocess.run(["bash", *map(str, command)], capture_output=True, text=True, stdin=subprocess.DEVNULL)


def test_a_step_that_fails_is_named_and_the_others_run(tmp_path):
    obstacle = tmp_path / "memory"
    obstacle.write_text("no folder can be made here")
    first = rehearse(tmp_path)
    assert first.returncode == 1, first.stderr
    ended = json.loads((tmp_path / "steps.json").read_text())["steps"]
    logs = {name: (tmp_path / "logs" / f"{name.replace(' ', '_')}.txt").read_text() for name in STEPS}
    assert {name: step["state"] for name, step in ended.items()} == {
        **dict.fromkeys(STEPS, "passed"),
        "memory": "FAILED with 1",
    }, logs
    assert first.stdout.splitlines()[-1].startswith("not passed: memory; logs: ")
    rows = json.loads((tmp_path / "gpu.json").read_text())["rows"]
    assert {row["case"]["kind"] for row in rows} >= {"steps", "commands"}
    assert not [row["error"] for row in rows if "error" in row]
    assert {row["voxels_that_differ"] for row in rows if "voxels_that_differ" in row} == {0}
    assert bool(list((tmp_path / "runs").rglob("*.json"))) == ("training 2d" in STEPS)

    obstacle.unlink()
    second = rehearse(tmp_path)
    assert second.returncode == 0, (tmp_path / "logs" / "memory.txt").read_text()
    assert second.stdout.count("passed before") == len(STEPS) - 1
    assert json.loads((tmp_path / "memory.json").read_text())["rows"]
