"""nnunet-eas crossval in a shell: trainings that are killed, stopped, broken, or somebody else's."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nnunet_eas.support.stop_signal import SIGNAL, STATUS

pytestmark = pytest.mark.slow
TRAINER = "EASUNetTrainer_waits"


def crossval(blobs, *more, configurations=("2d",), trainer=TRAINER):
    command = ("nnunet-eas", "crossval", "-d", blobs.id, "-c", *configurations, "-tr", trainer, "-device", "cpu")
    return (*command, *map(str, more))


@pytest.fixture
def empty(blobs, tmp_path):
    """The data, and a results folder of one's own."""
    return {"nnUNet_results": tmp_path / "results"}


def start(blobs, command, **variables):
    return subprocess.Popen(
        command, env=blobs.host.environment(**variables), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def waiting_process(file, seconds=180):
    """The number of the training that waits."""
    for _ in range(seconds * 10):
        if file.exists():
            return int(file.read_text())
        time.sleep(0.1)
    pytest.fail("no training came to epoch 1")


def logs(results, blobs, fold, configuration="2d"):
    folder = results / blobs.name / f"{TRAINER}__nnUNetPlans__{configuration}" / f"fold_{fold}"
    return [log.read_text() for log in sorted(folder.glob("training_log_*.txt"))]


def test_a_fold_that_is_killed_and_then_asked_to_stop_goes_on_from_its_checkpoint(blobs, tmp_path):
    results, said = tmp_path / "results", tmp_path / "number"
    process = start(blobs, crossval(blobs, "--folds", 1), nnUNet_results=results, TEST_SAY_NUMBER=said)
    killed = waiting_process(said)
    said.unlink()  # so that the next attempt waits, too
    os.kill(killed, signal.SIGKILL)
    os.kill(waiting_process(said), SIGNAL)
    printed, _ = process.communicate(timeout=300)
    assert process.returncode == 0, printed
    assert "2d fold 1: attempt 1 of 3 failed: nnUNetv2_train was ended by SIGKILL" in printed
    assert f"2d fold 1: attempt 2 of 3 failed: nnUNetv2_train ended with {STATUS}" in printed
    assert "2d fold 1: trained" in printed
    first, second, third = logs(results, blobs, 1)
    assert ["Epoch 0" in log for log in (first, second, third)] == [True, False, False]
    assert ["--c goes on from the latest" in log for log in (first, second, third)] == [False, True, False]
    assert "Epoch 1" in third


def test_two_at_once_share_the_folds(blobs, tmp_path):
    results = tmp_path / "results"
    processes = [start(blobs, crossval(blobs, "--folds", 0, 1), nnUNet_results=results) for _ in range(2)]
    printed = [process.communicate(timeout=400)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], printed
    assert [len(logs(results, blobs, fold)) for fold in (0, 1)] == [1, 1]


def test_a_fold_that_fails_is_named_and_the_others_go_on(blobs, tmp_path):
    results = tmp_path / "results"
    model = results / blobs.name / f"{TRAINER}__nnUNetPlans__2d"
    (model / "fold_0").mkdir(parents=True)
    (model / "fold_0" / "checkpoint_latest.pth").write_bytes(b"no checkpoint")
    ended = blobs.host.run(*crossval(blobs, "--folds", 0, 1, "--retries", 0), check=False, nnUNet_results=results)
    assert ended.returncode == 1
    assert "failed 2d fold 0: nnUNetv2_train ended with 1" in ended.stderr
    assert "2d fold 1: trained" in ended.stdout
    assert f"progress: nnunet-eas status -d {blobs.name} -tr {TRAINER}\n" in ended.stdout
    assert "logs: crossval_log.txt in each fold's folder" in ended.stdout
    assert "Traceback" not in ended.stdout + ended.stderr
    shown = blobs.host.run("nnunet-eas", "status", "-d", blobs.id, nnUNet_results=results).stdout.splitlines()
    assert [line.split()[2] for line in shown[1:]] == ["failed", "trained", "waiting"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--folds", "3"), "--folds must be 0 to 2"),
        (("-p", "otherPlans"), "-p must name plans"),
        (("--executor", "slurm"), "--executor slurm needs Slurm's commands"),
        (("-c", "3d_lowres"), "-c must name configurations of nnUNetPlans"),
        (("--retries", "-1"), "--retries must be at least 0"),
        (("--workers", "0"), "--workers must be at least 1"),
    ],
)
def test_wrong_arguments_are_named(blobs, empty, options, said):
    ours = Path(sys.executable).parent  # alone: a machine may have Slurm
    ended = blobs.host.run(*crossval(blobs, *options), check=False, **empty, PATH=ours)
    assert ended.returncode == 1
    assert said in ended.stderr
    assert not empty["nnUNet_results"].exists()
