"""The loop over the folds, with an executor that plays the trainings."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from nnunet_eas.crossval import train_all as module
from nnunet_eas.crossval.fold import Fold
from nnunet_eas.crossval.record import Record
from nnunet_eas.crossval.train_all import train_all
from nnunet_eas.crossval.training import IN_USE, TRAINED, Training


@dataclass
class Paths:
    result_pickle: Path
    stderr: Path


class PlayedJob:
    """Ends as it is told: "trained", "in use", "failed" (with a word), or "lost" (without one)."""

    def __init__(self, number, training, ends, folder):
        self.job_id, self.training, self.ends = str(number), training, ends
        self.paths = Paths(folder / f"{number}.pkl", folder / f"{number}.err")
        self.is_cancelled = False

    def end(self):
        folder = self.training.fold.folder
        folder.mkdir(parents=True, exist_ok=True)
        Record(error="nnUNetv2_train ended with 1: no" if self.ends == "failed" else "").write(folder)
        if self.ends == TRAINED:
            (folder / "validation").mkdir()
            (folder / "validation" / "summary.json").touch()
        if self.ends != "lost":
            self.paths.result_pickle.touch()

    def cancel(self, check):
        self.is_cancelled = True

    def exception(self):
        return RuntimeError() if self.ends == "failed" else None

    def result(self):
        return self.ends


class Player:
    """One place or more; `script` says for each fold how its attempts end."""

    def __init__(self, script, folder, places=1):
        self.script, self.folder, self.free = {k: list(v) for k, v in script.items()}, folder, places
        self.started, self.most, self.jobs, self.running = [], 0, [], 0

    def places(self):
        return self.free - self.running

    def submit(self, trainings):
        assert len(trainings) <= self.places()
        self.running += len(trainings)
        self.most = max(self.most, self.running)
        self.started += [training.fold.number for training in trainings]
        jobs = [
            PlayedJob(len(self.started) * 10 + n, t, self.script[t.fold.number].pop(0), self.folder)
            for n, t in enumerate(trainings)
        ]
        self.jobs += jobs
        return jobs

    def is_over(self, job):
        if job.ends == "for ever":
            return False
        job.end()
        self.running -= 1
        return True


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr(module, "POLL_S", 0.0)


def trainings(tmp_path, n):
    return [Training(Fold("Dataset901_Blobs", "2d", "T", "P", k, tmp_path / "results"), "cpu", False) for k in range(n)]


@pytest.mark.parametrize("places", [1, 2, 1000])
def test_all_are_trained_once(tmp_path, places):
    player, said = Player({key: [TRAINED] for key in range(5)}, tmp_path, places), []
    assert train_all(trainings(tmp_path, 5), player, 3, said.append) == {}
    assert player.started == [0, 1, 2, 3, 4]
    assert player.most == min(places, 5)
    assert [line for line in said if "trained" in line] == [f"2d fold {k}: trained" for k in range(5)]
    assert train_all(trainings(tmp_path, 5), player, 3, said.append) == {}
    assert len(player.started) == 5


@pytest.mark.parametrize("ends", ["failed", "lost"])
def test_a_bounded_number_of_attempts_and_the_others_go_on(tmp_path, ends):
    script = {0: [ends] * 2 + [TRAINED], 1: [ends] * 3, 2: [TRAINED]}
    player, said = Player(script, tmp_path), []
    failed = train_all(trainings(tmp_path, 3), player, 3, said.append)
    assert [fold.number for fold in failed] == [1]
    assert ("nnUNetv2_train ended with 1: no" if ends == "failed" else "killed or cancelled") in failed[
        trainings(tmp_path, 2)[1].fold
    ]
    assert sorted(player.started) == [0, 0, 0, 1, 1, 1, 2]
    assert player.started[:3] == [0, 1, 2]
    assert sum("of 3 failed" in line for line in said) == 5


def test_a_fold_that_another_process_took_is_no_failure(tmp_path):
    player = Player({0: [IN_USE] * 5 + [TRAINED]}, tmp_path)
    assert train_all(trainings(tmp_path, 1), player, 1, lambda _: None) == {}
    assert player.started == [0] * 6


def test_a_fold_that_is_held_is_waited_for_behind_the_others(tmp_path, monkeypatch):
    made = trainings(tmp_path, 2)
    player, said = Player({0: [TRAINED], 1: [TRAINED]}, tmp_path), []
    with made[0].fold.lock():
        monkeypatch.setattr(module.time, "sleep", lambda _: (tmp_path / "2").exists() or _release(made[0].fold, player))
        assert train_all(made, player, 1, said.append) == {}
    assert player.started == [1, 0]
    assert said[0] == "2d fold 0: another process trains it; waiting for it"


def _release(fold, player):
    """The other process ends once fold 1 has been started."""
    if player.started:
        (fold.folder / "crossval.lock").unlink(missing_ok=True)


def test_interrupted_it_ends_what_runs(tmp_path, monkeypatch):
    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(module.time, "sleep", interrupt)
    player = Player({0: ["for ever"], 1: ["for ever"]}, tmp_path, places=2)
    with pytest.raises(KeyboardInterrupt):
        train_all(trainings(tmp_path, 2), player, 1, lambda _: None)
    assert [job.is_cancelled for job in player.jobs] == [True, True]


def test_a_full_disk_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "FULL", 1 << 60)
    (error,) = train_all(trainings(tmp_path, 1), Player({0: ["lost"]}, tmp_path), 1, lambda _: None).values()
    assert error == f"there is no space left for {trainings(tmp_path, 1)[0].fold.folder}"
