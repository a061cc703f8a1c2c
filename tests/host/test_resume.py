"""A killed training is resumed with the network that it was started with."""

import json
import os
import re
import signal
import subprocess
import time

import pytest
import torch

pytestmark = pytest.mark.slow

TRAINER = "EASUNetTrainer_stops"
PATIENCE_S = 300


def kill_in_the_middle_of_an_epoch(host, command, stop_file, log):
    """Starts a training that waits in the middle of an epoch, and kills it and its children as `kill -9` does."""
    environment = host.environment(TEST_STOP_FILE=stop_file, TEST_OTHER_RULE=1)
    arguments = [str(part) for part in command]
    with log.open("w") as output:
        training = subprocess.Popen(
            arguments, cwd=host.folder, env=environment, stdout=output, stderr=output, start_new_session=True
        )
        try:
            deadline = time.monotonic() + PATIENCE_S
            while not stop_file.exists() and training.poll() is None and time.monotonic() < deadline:
                time.sleep(0.2)
            reached = stop_file.exists()
        finally:
            if training.poll() is None:
                os.killpg(training.pid, signal.SIGKILL)
            training.wait()
    assert reached, log.read_text()
    assert training.returncode == -signal.SIGKILL


def dilations(model):
    plans = json.loads((model / "plans.json").read_text(encoding="utf-8"))
    return plans["configurations"]["2d"]["architecture"]["arch_kwargs"]["dilations"]


def test_killed_training_resumes_with_the_recorded_network(blobs, tmp_path):
    host, command = blobs.host, blobs.train("2d", 0, trainer=TRAINER)
    model = blobs.model("2d", TRAINER)
    fold = model / "fold_0"
    kill_in_the_middle_of_an_epoch(host, command, tmp_path / "stopped", tmp_path / "log.txt")
    latest = torch.load(fold / "checkpoint_latest.pth", weights_only=False)
    assert latest["current_epoch"] == 1
    assert not (fold / "checkpoint_final.pth").exists()
    assert dilations(model) == [[1, 1]]

    # today's rule gives other rates than the killed run recorded; --val_best validates the best epoch afterwards
    completed = host.run(*command, "--c", "--val_best")
    assert re.findall(r"Epoch (\d+)\s*$", completed.stdout, re.MULTILINE) == ["1", "2"]
    assert dilations(model) == [[1, 1]]
    final = torch.load(fold / "checkpoint_final.pth", weights_only=False)
    assert final["current_epoch"] == 3
    assert len(final["logging"]["train_losses"]) == 3
    branches = [key.split(".")[3] for key in final["network_weights"] if key.startswith("encoder.bottleneck.atrous.")]
    assert set(branches) == {"0"}
    assert not list(fold.glob("*.tmp"))

    summary = fold / "validation" / "summary.json"
    assert 0 <= json.loads(summary.read_text())["foreground_mean"]["Dice"] <= 1
    summary.unlink()
    completed = host.run(*command, "--val")
    assert 0 <= json.loads(summary.read_text())["foreground_mean"]["Dice"] <= 1
    assert "Epoch 2" not in completed.stdout
    after = torch.load(fold / "checkpoint_final.pth", weights_only=False)
    for key, value in final["network_weights"].items():
        torch.testing.assert_close(after["network_weights"][key], value, rtol=0, atol=0)
