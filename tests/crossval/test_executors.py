"""Local places, and what Slurm's queue says, without a Slurm."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from nnunet_eas.crossval import executors
from nnunet_eas.crossval.executors import LocalExecutor, SlurmExecutor
from nnunet_eas.crossval.fold import Fold
from nnunet_eas.crossval.training import Training

SQUEUE = "#!/bin/sh\ncat {folder}/queue || exit 1\n"


@dataclass
class Paths:
    result_pickle: Path


@dataclass
class Job:
    job_id: str
    paths: Paths


class Played:
    """Stands for submitit's executor: notes each job's training."""

    given: list[Training] = []

    def __init__(self, folder):
        pass

    def update_parameters(self, **parameters):
        pass

    def submit(self, training):
        self.given.append(training)
        return PlayedJob(f"{len(self.given)}")


@dataclass
class PlayedJob:
    job_id: str
    over: bool = False

    def done(self):
        return self.over


def test_each_device_takes_one_training_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(executors.submitit, "LocalExecutor", Played)
    monkeypatch.setattr(Played, "given", [])
    monkeypatch.setattr(executors, "cores", lambda: 7)
    assert LocalExecutor(tmp_path, [None]).threads is None
    executor = LocalExecutor(tmp_path, ["GPU-a", None])
    one, two, three = (Training(Fold("D", "2d", "T", "P", fold, tmp_path), "cuda", False) for fold in range(3))
    assert executor.threads == 3
    assert executor.places() == 2
    first, second = executor.submit([one, two])
    assert executor.places() == 0
    assert Played.given == [replace(one, gpu="GPU-a"), two]
    assert not executor.is_over(second)
    first.over = True
    assert executor.is_over(first)
    assert executor.is_over(first)  # asked again it frees nothing more
    assert executor.places() == 1
    executor.submit([three])
    assert Played.given[2] == replace(three, gpu="GPU-a")


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """An executor on a machine where Slurm's commands are shell scripts; `queue` is what squeue prints."""
    for command in ("sbatch", "scancel", "srun", "squeue"):
        (tmp_path / command).write_text(SQUEUE.format(folder=tmp_path))
        (tmp_path / command).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    return SlurmExecutor(tmp_path / "jobs", {"time": 5})


def test_a_job_is_over_by_its_result_or_when_it_has_left_the_queue_for_long(slurm, tmp_path, monkeypatch):
    job = Job("7_1", Paths(tmp_path / "result"))
    (tmp_path / "queue").write_text("7_0|8\n7_1|9\n")
    assert not slurm.is_over(job)
    (tmp_path / "queue").write_text("7_0|8\n")
    now = [100.0]
    monkeypatch.setattr(executors.time, "monotonic", lambda: now[0])
    assert not slurm.is_over(job)
    now[0] += executors.LOST_AFTER_S - 1
    assert not slurm.is_over(job)
    (tmp_path / "queue").write_text("7_1|9\n")  # requeued: the clock starts anew
    assert not slurm.is_over(job)
    (tmp_path / "queue").write_text("")
    now[0] += 5
    assert not slurm.is_over(job)
    now[0] += executors.LOST_AFTER_S + 1
    assert slurm.is_over(job)
    (tmp_path / "queue").write_text("7_1|9\n")
    assert not slurm.is_over(job)
    job.paths.result_pickle.touch()
    assert slurm.is_over(job)


def test_while_slurm_does_not_answer_nothing_is_over(slurm, tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(executors.time, "monotonic", lambda: now[0])
    job = Job("7", Paths(tmp_path / "result"))
    (tmp_path / "queue").write_text("")
    assert not slurm.is_over(job)
    (tmp_path / "queue").unlink()
    now[0] += executors.LOST_AFTER_S + 1
    assert not slurm.is_over(job)
    (tmp_path / "queue").write_text("")
    assert not slurm.is_over(job)


def test_without_slurm_it_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match="--executor slurm needs Slurm's commands, got no sbatch"):
        SlurmExecutor(tmp_path, {})
