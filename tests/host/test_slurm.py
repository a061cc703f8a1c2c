"""nnunet-eas crossval on a real Slurm: jobs that are killed, cancelled, and told to give way."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "slurm.sh"
TRAINER = "EASUNetTrainer_waits"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        shutil.which("slurmctld") is None or shutil.which("munged") is None or os.getuid() != 0,
        reason="no Slurm here (Debian's slurm-wlm and munge, as root): only crossval's local executor is tested",
    ),
]


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    """What a shell needs to know of a Slurm that runs."""
    folder = tmp_path_factory.mktemp("slurm")
    started = subprocess.run([SCRIPT, "start", folder], capture_output=True, text=True, check=False, timeout=120)
    if started.returncode:
        subprocess.run([SCRIPT, "stop", folder], check=False, timeout=60)
        pytest.skip(
            f"no Slurm could be started here, only crossval's local executor is tested: {started.stderr[-500:]}"
        )
    yield {"SLURM_CONF": folder / "slurm.conf"}
    subprocess.run([SCRIPT, "stop", folder], check=True, timeout=60)


@pytest.fixture
def shell(blobs, slurm, tmp_path):
    """Variables of a shell with a results folder of its own, and the file in which a training says its number."""
    return {**slurm, "nnUNet_results": tmp_path / "results", "TEST_SAY_NUMBER": tmp_path / "number"}


def crossval(blobs, *more, **variables):
    command = ("nnunet-eas", "crossval", "-d", blobs.id, "-c", "2d", "-tr", TRAINER, "-device", "cpu")
    return subprocess.Popen(
        [*command, "--executor", "slurm", "--partition", "debug", "--time", "30", *map(str, more)],
        env=blobs.host.environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def until(what, seconds=240):
    for _ in range(seconds * 5):
        found = what()
        if found:
            return found
        time.sleep(0.2)
    return pytest.fail("it did not come to that")


def running(blobs, shell):
    """Numbers of the jobs that run."""
    return blobs.host.run("squeue", "--noheader", "--array", "--states=R", "--format=%i", **shell).stdout.split()


def files_of(fold):
    """Names of all that a training leaves, but for the logs, of which there is one a start."""
    names = {path.relative_to(fold).as_posix() for path in fold.rglob("*") if path.is_file()}
    return {name for name in names if not name.startswith("training_log_") and ".nii.gz" not in name}


def test_a_killed_and_a_cancelled_fold_end_as_the_others(blobs, shell):
    process = crossval(blobs, **shell)
    number = shell["TEST_SAY_NUMBER"]
    killed = int(until(lambda: number.exists() and number.read_text()))
    first, second = until(lambda: len(running(blobs, shell)) == 2 and running(blobs, shell))
    of_killed = Path(f"/proc/{killed}/environ").read_bytes().split(b"\0")
    task = next(v for v in of_killed if v.startswith(b"SLURM_ARRAY_TASK_ID=")).split(b"=")[1].decode()
    cancelled = second if first.endswith(f"_{task}") else first
    blobs.host.run("scancel", cancelled, **shell)
    os.kill(killed, signal.SIGKILL)
    printed, _ = process.communicate(timeout=600)
    assert process.returncode == 0, printed
    assert f"2d fold {task}: attempt 1 of 3 failed: nnUNetv2_train was ended by SIGKILL" in printed
    assert f"2d fold {cancelled.split('_')[1]}: attempt 1 of 3 failed: " in printed  # by its own word, or without one
    assert printed.count("attempt 1 of 3 failed") == 2
    model = shell["nnUNet_results"] / blobs.name / f"{TRAINER}__nnUNetPlans__2d"
    folds = [model / f"fold_{k}" for k in range(blobs.folds)]
    for fold, case in zip(folds, blobs.cases, strict=False):
        assert files_of(fold) == files_of(folds[-1])
        assert [path.name for path in (fold / "validation").glob("*.nii.gz")] == [f"{case}.nii.gz"]
    assert "nnunet-eas predict-best" in printed


def test_a_job_whose_time_is_up_saves_itself_and_is_queued_again(blobs, shell):
    process = crossval(blobs, "--folds", 0, **shell)
    number = shell["TEST_SAY_NUMBER"]
    until(number.exists)
    (job,) = running(blobs, shell)
    blobs.host.run("scancel", "--signal=USR2", job, **shell)  # as Slurm does --grace seconds before the end
    printed, _ = process.communicate(timeout=600)
    assert process.returncode == 0, printed
    assert "attempt" not in printed
    fold = shell["nnUNet_results"] / blobs.name / f"{TRAINER}__nnUNetPlans__2d" / "fold_0"
    first, second = (log.read_text() for log in sorted(fold.glob("training_log_*.txt")))
    assert "--c goes on from the latest" in first
    assert "Epoch 0" not in second
