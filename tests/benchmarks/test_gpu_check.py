"""The first hour on a GPU, rehearsed: with a step that fails, and once more without."""

import json
import subprocess

import pytest

from benchmarks.commands import ROOT

pytestmark = pytest.mark.slow

STEPS = ("doctor", "tests", "memory", "steps 3d_fullres", "commands 2d", "training 3d_fullres", "scans 2d")


def rehearse(work):
    command = [ROOT / "benchmarks" / "gpu_check.sh", work, "--rehearse", *STEPS]
    return subprocess.run(["bash", *map(str, command)], capture_output=True, text=True, stdin=subprocess.DEVNULL)


def test_a_step_that_fails_is_named_and_the_others_run(tmp_path):
    obstacle = tmp_path / "memory"
    obstacle.write_text("no folder can be made here")
    first = rehearse(tmp_path)
    assert first.returncode == 1, first.stderr
    ended = json.loads((tmp_path / "steps.json").read_text())["steps"]
    logs = {name: (tmp_path / "logs" / f"{name}.txt").read_text() for name in STEPS}
    assert {name: step["state"] for name, step in ended.items()} == {
        **dict.fromkeys(STEPS, "passed"),
        "memory": "FAILED with 1",
    }, logs
    assert first.stdout.splitlines()[-1].startswith("not passed: memory; logs: ")
    rows = json.loads((tmp_path / "gpu.json").read_text())["rows"]
    assert len(rows) > 5
    assert not [row["error"] for row in rows if "error" in row]
    assert [row["voxels_that_differ"] for row in rows if "voxels_that_differ" in row] == [0]
    assert list((tmp_path / "runs").rglob("*.json"))

    obstacle.unlink()
    second = rehearse(tmp_path)
    assert second.returncode == 0, (tmp_path / "logs" / "memory.txt").read_text()
    assert second.stdout.count("passed before") == len(STEPS) - 1
    assert json.loads((tmp_path / "memory.json").read_text())["rows"]
