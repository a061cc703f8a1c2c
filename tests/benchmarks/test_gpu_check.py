"""The first hour on a GPU, rehearsed: with a step that fails, and once more without.

TEST_ALL_STEPS=1 rehearses every step, which takes minutes.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from benchmarks import gpu_check
from benchmarks.commands import ROOT
from benchmarks.speed.measured import MeasuredNetwork, OwnProcess

STEPS = ("memory", "scans 2d", "guards")  # nothing that is compiled
if "TEST_ALL_STEPS" in os.environ:
    STEPS = tuple(gpu_check.steps(Path(), rehearse=True))


def rehearse(work):
    command = [ROOT / "benchmarks" / "gpu_check.sh", work, "--rehearse", *STEPS]
    return subprocess.run(["bash", *map(str, command)], capture_output=True, text=True, stdin=subprocess.DEVNULL)


@pytest.mark.slow
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
    assert {row["case"]["kind"] for row in rows} == {name.split()[0] for name in STEPS} & {"steps", "scans", "commands"}
    assert not [row["error"] for row in rows if "error" in row]
    assert {row["voxels_that_differ"] for row in rows if "voxels_that_differ" in row} <= {0}
    assert bool(list((tmp_path / "runs").rglob("*.json"))) == ("training 2d" in STEPS)

    obstacle.unlink()
    second = rehearse(tmp_path)
    assert second.returncode == 0, (tmp_path / "logs" / "memory.txt").read_text()
    assert second.stdout.count("passed before") == len(STEPS) - 1
    assert json.loads((tmp_path / "memory.json").read_text())["rows"]


def test_a_step_past_its_time_is_stopped_with_all_that_it_started(tmp_path):
    alive = tmp_path / "alive"
    child = f"import time\nwhile True: open({str(alive)!r}, 'a').write('.'); time.sleep(0.05)"
    script = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    ended = gpu_check.run([[sys.executable, "-c", script]], tmp_path, tmp_path / "logs" / "log.txt", 3)
    assert ended["state"] == "not finished"
    size = alive.stat().st_size
    assert size
    time.sleep(0.5)
    assert alive.stat().st_size == size


def test_a_command_that_is_not_installed_is_named(tmp_path):
    ended = gpu_check.run([["no-such-command"]], tmp_path, tmp_path / "logs" / "log.txt", 3)
    assert ended["state"].startswith("FAILED: nnU-Net must be installed with its commands, got none named no-such")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--rehearse"], "WORK_FOLDER must hold either rehearsals or results of a GPU, got "),
        (["--rehearse", "steps 4d"], "STEP must be one of steps 3d_fullres, "),
        ([], "a GPU that PyTorch can use must be there, got none. Give --rehearse."),
    ],
)
def test_bad_input_is_refused_before_anything_runs(tmp_path, monkeypatch, capsys, options, message):
    (tmp_path / "steps.json").write_text('{"rehearsed": false, "steps": {}}')
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu_check", str(tmp_path), *options])
    with pytest.raises(SystemExit):
        gpu_check.main()
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["steps.json"]


def test_a_network_that_does_not_answer_is_an_error(monkeypatch):
    monkeypatch.setenv("BENCHMARK_THREADS", "1")
    with pytest.raises(RuntimeError, match=r"no answer in 0.01 s"):
        OwnProcess(MeasuredNetwork, patience_s=0.01)
