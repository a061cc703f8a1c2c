"""The runner as a command on a tiny dataset: killed, started again, with failures and with other runners."""

import argparse
import json
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from runner_results import TITLES

from benchmarks.commands import ROOT
from benchmarks.compare import result_files, runner
from nnunet_eas.support.locks import locked

pytestmark = pytest.mark.slow

EPOCHS = 4  # after the first one, there is time to be killed
PATIENCE_S = 300


def command(tiny, results, *more, configuration="2d", networks=("default", "eas"), folds=(0,), epochs=EPOCHS):
    return [
        *(sys.executable, "-m", "benchmarks.compare.runner", "--datasets", tiny.dataset, "--work", tiny.work),
        *("--results", results, "--configurations", configuration, "--networks", *networks, "--folds", *folds),
        *("--epochs", epochs, "--iterations", 2, "--val-iterations", 1, "--batch", f"{configuration}=2"),
        *("--device", "cpu", *more),
    ]


def run(arguments):
    return subprocess.run(list(map(str, arguments)), cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL)


def kill_when(reached, arguments, log):
    """Starts a runner and kills it with all of its children, as `kill -9` does, once a state is reached."""
    with log.open("w") as output:
        process = subprocess.Popen(
            list(map(str, arguments)), cwd=ROOT, stdout=output, stderr=output, start_new_session=True
        )
        try:
            deadline = time.monotonic() + PATIENCE_S
            while not reached() and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.005)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    assert process.returncode == -signal.SIGKILL, log.read_text()
    assert reached(), log.read_text()


def times(folder, pattern):
    """The time of the last change of each file."""
    return {path.relative_to(folder): path.stat().st_mtime_ns for path in sorted(folder.rglob(pattern))}


class Story:
    """A runner of two networks: killed in its second training, started again, and once more."""

    def __init__(self, tiny, root):
        self.tiny, self.results = tiny, root / "results"
        self.trained = tiny.work / tiny.name / "results"
        arguments = command(tiny, self.results)
        kill_when(lambda: self.checkpoint("eas", 0, "latest") is not None, arguments, root / "killed.txt")
        self.after_kill = self.state()
        self.reached = torch.load(self.checkpoint("eas", 0, "latest"), weights_only=False)["current_epoch"]
        self.second = run(arguments)
        self.after_second = self.state()
        self.third = run(arguments)
        self.after_third = self.state()

    def state(self):
        return times(self.trained, "checkpoint_*.pth"), times(self.results, "*.json")

    def checkpoint(self, network, fold, which):
        found = list(self.trained.glob(f"2d_{network}_seed0_*/*/*/fold_{fold}/checkpoint_{which}.pth"))
        return found[0] if found else None

    def log(self, network, fold, program="nnUNetv2_train"):
        (path,) = self.trained.glob(f"2d_{network}_seed0_*/fold_{fold}_{program}.txt")
        return path.read_text()

    def result(self, network, fold):
        (path,) = self.results.glob(f"{self.tiny.name}/2d_{network}_seed0_fold{fold}_*.json")
        return path


@pytest.fixture(scope="module")
def story(tiny, tmp_path_factory):
    return Story(tiny, tmp_path_factory.mktemp("story"))


@pytest.fixture
def copied_results(story, tmp_path):
    """The finished results in a folder of the test's own; the trained models stay where they are."""
    return Path(shutil.copytree(story.results, tmp_path / "results"))


class TestKilledAndStartedAgain:
    def test_what_was_done_when_it_was_killed(self, story):
        checkpoints, results = story.after_kill
        assert {path.parts[0].split("_seed")[0] for path in checkpoints} == {"2d_default", "2d_eas"}
        assert [path.name.split("_seed")[0] for path in results] == ["2d_default"]
        assert 0 < story.reached < EPOCHS
        assert not [path for path in checkpoints if "eas" in str(path) and path.stem == "checkpoint_final"]

    def test_the_second_start_finishes(self, story):
        assert story.second.returncode == 0, story.second.stdout + story.second.stderr
        assert "2 trainings, 1 of them missing" in story.second.stdout
        assert re.search(rf"^1 of 1: .*: Dice 0\.\d{{4}}, {2 * EPOCHS} iterations, ", story.second.stdout, re.M)
        assert len(story.after_second[1]) == 2

    def test_a_finished_training_is_not_touched(self, story):
        of_default = {path: t for path, t in story.after_kill[0].items() if "2d_default" in str(path)}
        assert of_default
        assert of_default.items() <= story.after_second[0].items()
        assert story.after_kill[1].items() <= story.after_second[1].items()
        assert story.log("default", 0).count("$ nnUNetv2_train ") == 1

    def test_the_cut_training_goes_on_where_it_was(self, story):
        log = story.log("eas", 0)
        typed = [line for line in log.splitlines() if line.startswith("$ nnUNetv2_train ")]
        assert [line.endswith("--c") for line in typed] == [False, True]
        after = log.split(typed[1])[1]
        assert re.findall(r"Epoch (\d+)\s*$", after, re.M) == [str(e) for e in range(story.reached, EPOCHS)]
        result = result_files.read(story.result("eas", 0))
        assert [(e["epoch"], e["iterations"]) for e in result["epochs"]] == [(e, 2) for e in range(EPOCHS)]
        assert not list(story.trained.rglob("checkpoint_latest.pth"))

    def test_the_third_start_does_nothing(self, story):
        assert (story.third.returncode, story.third.stdout) == (0, "2 trainings, 0 of them missing\n")
        assert story.after_third == story.after_second


class TestResults:
    @pytest.mark.parametrize("network", ["default", "eas"])
    def test_one_for_each_training(self, story, network):
        result = result_files.read(story.result(network, 0))
        assert (result["recipe"]["arm"], result["recipe"]["fold"], result["recipe"]["seed"]) == (network, 0, 0)
        assert result["key"] == result_files.key(result["recipe"])
        assert result["recipe"]["schedule"] == {"epochs": EPOCHS, "iterations": 2, "val_iterations": 1}
        split = json.loads((story.tiny.preprocessed / "splits_final.json").read_text())
        wanted = {(case, label) for case in split[0]["val"] for label in ("core", "shell")}
        assert {(record["case"], record["label"]) for record in result["per_case"]} == wanted
        assert all(0 <= record["dice"] <= 1 for record in result["per_case"])

    def test_which_training_was_cut(self, story):
        assert not result_files.read(story.result("default", 0))["resumed"]
        assert result_files.read(story.result("eas", 0))["resumed"]

    def test_what_nnunet_planned(self, story):
        plans = json.loads((story.tiny.preprocessed / "nnUNetPlans.json").read_text())["configurations"]["2d"]
        planned = result_files.read(story.result("eas", 0))["planned"]
        assert planned == {"batch_size": plans["batch_size"], "patch_size": plans["patch_size"]}
        assert planned["batch_size"] != 2

    def test_networks_share_batch_patch_and_data(self, story):
        plans = [result_files.read(story.result(network, 0))["recipe"] for network in ("default", "eas")]
        for key in ("batch_size", "patch_size"):
            assert plans[0]["plan"][key] == plans[1]["plan"][key]
        assert plans[0]["plan"]["batch_size"] == 2
        assert plans[0]["data"] == plans[1]["data"]

    def test_the_comparison_reads_them(self, story, tmp_path):
        script = "benchmarks.compare.comparison"
        completed = run([sys.executable, "-m", script, "--results", story.results, "--out", tmp_path / "comparison"])
        assert completed.returncode == 0, completed.stderr
        dice = [record["dice"] for record in result_files.read(story.result("eas", 0))["per_case"]]
        row = f"| {TITLES['eas']} | 1 (1 fold) | {100 * sum(dice) / len(dice):.2f} |"
        assert [line.startswith(row) for line in completed.stdout.splitlines()].count(True) == 1


class TestOthers:
    def test_a_corrupt_result_is_made_again_without_training(self, story, copied_results):
        broken = copied_results / story.result("default", 0).relative_to(story.results)
        whole = broken.read_bytes()
        broken.write_bytes(whole[: len(whole) // 2])
        completed = run(command(story.tiny, copied_results))
        assert completed.returncode == 0, completed.stderr
        assert "2 trainings, 1 of them missing" in completed.stdout
        assert f"made again: {broken} must be a result of runner.py" in completed.stderr
        assert json.loads(broken.read_text()) == json.loads(whole)
        assert times(story.trained, "checkpoint_*.pth") == story.after_third[0]

    def test_what_another_runner_has_begun_is_left_to_it(self, story, copied_results):
        path = copied_results / story.result("eas", 0).relative_to(story.results)
        path.unlink()
        (lock,) = story.trained.glob("2d_eas_seed0_*/fold_0.lock")
        with locked(lock):
            completed = run(command(story.tiny, copied_results))
        assert completed.returncode == 0, completed.stderr
        assert completed.stdout.splitlines() == [
            "2 trainings, 1 of them missing",
            "1 of 1: Dataset905_Blobs, 2d, eas, seed 0, fold 0: in use",
            "left to another runner: Dataset905_Blobs, 2d, eas, seed 0, fold 0",
        ]
        assert not path.exists()

    def test_a_training_from_another_plan_is_no_result(self, story, copied_results):
        path = copied_results / story.result("eas", 0).relative_to(story.results)
        path.unlink()
        (plans,) = story.trained.glob("2d_eas_seed0_*/*/*/plans.json")
        before = plans.read_text()
        content = json.loads(before)
        content["configurations"]["2d"]["batch_size"] = 5
        plans.write_text(json.dumps(content))
        completed = run(command(story.tiny, copied_results))
        plans.write_text(before)
        assert completed.returncode == 1
        assert "FAILED: --work must not be shared by runners with other sizes at a time, got " in completed.stdout
        assert not path.exists()

    def test_sources_that_change_while_others_train_are_refused(self, runs, tmp_path, monkeypatch, parsed):
        (one, *_) = runs(networks=("eas",), epochs=EPOCHS + 2)
        one.recipe["code"]["sources"] = "those of the start"
        places = queue.Queue()
        places.put(None)
        with pytest.raises(ValueError, match="sources must stay as they were when the runner started, got others"):
            runner.run_one(one, places, parsed())
        assert not one.folder.exists()

    def test_a_network_that_fails_is_named_and_the_others_finish(self, tiny, tmp_path):
        networks = {"networks": ("deeplabv3plus", "eas"), "folds": (0,), "epochs": 1}
        completed = run(command(tiny, tmp_path, configuration="3d_fullres", **networks))
        assert completed.returncode == 1
        title = "Dataset905_Blobs, 3d_fullres, deeplabv3plus, seed 0, fold 0"
        assert f"1 of 2: {title}: FAILED: nnUNetv2_train ended with 1 (ValueError: configuration must be 2d" in (
            completed.stdout
        )
        assert completed.stderr.splitlines()[-1] == f"failed: {title}"
        assert [path.name.split("_seed")[0] for path in tmp_path.rglob("*.json")] == ["3d_fullres_eas"]


@pytest.fixture
def parsed(tiny, tmp_path, monkeypatch):
    """The command line as the runner reads it."""

    def parse(*more, **options):
        monkeypatch.setattr(sys, "argv", list(map(str, command(tiny, tmp_path, *more, **options)[2:])))
        return runner.parse()

    return parse


@pytest.fixture
def runs(tiny, parsed):
    def of(*more, epochs=EPOCHS, **options):
        schedule = {"epochs": epochs, "iterations": 2, "val_iterations": 1}
        return runner.runs_of(tiny.dataset, schedule, parsed(*more, **options))

    return of


class TestRuns:
    def test_seeds_and_folds_are_outermost(self, runs):
        order = [(r.recipe["seed"], r.recipe["fold"], r.recipe["arm"]) for r in runs("--seeds", 0, 1, folds=(0, 1))]
        assert order == [(seed, fold, network) for seed in (0, 1) for fold in (0, 1) for network in ("default", "eas")]

    def test_seeds_networks_and_schedules_have_results_folders_of_their_own(self, runs):
        made = [*runs("--seeds", 0, 1), *runs(epochs=7)]
        by_kind = {(r.recipe["seed"], r.recipe["arm"], r.recipe["schedule"]["epochs"]): r.results for r in made}
        assert len(by_kind) == len(set(by_kind.values())) == 6

    def test_folds_of_one_model_share_one(self, runs):
        first, second = runs(networks=("eas",), folds=(0, 1))
        assert first.results == second.results
        assert (first.folder.name, second.folder.name) == ("fold_0", "fold_1")
        assert first.folder.parent == second.folder.parent

    def test_the_title(self, runs):
        assert runs()[0].title == "Dataset905_Blobs, 2d, default, seed 0, fold 0"

    def test_a_fold_beyond_the_split_is_refused(self, runs):
        with pytest.raises(SystemExit, match=r"--folds must be .*5.* folds of Dataset905_Blobs's split.*, got \[5\]"):
            runs(folds=(0, 5))

    def test_a_fold_below_zero_is_refused(self, runs):
        with pytest.raises(SystemExit, match="--folds must be"):
            runs(folds=(-1,))

    def test_an_unknown_network_is_refused(self, parsed, capsys):
        with pytest.raises(SystemExit):
            parsed(networks=("nonsense",))
        assert "invalid choice: 'nonsense'" in capsys.readouterr().err

    def test_equal_time_in_the_place_of_equal_iterations(self, parsed, monkeypatch):
        seen = []
        parsed("--seconds", 90)
        monkeypatch.setattr(runner, "runs_of", lambda dataset, schedule, args: seen.append(schedule) or [])
        assert runner.main() == 0
        assert seen == [{"epochs": EPOCHS, "iterations": None, "val_iterations": 1, "seconds": 90.0}]


class TestMain:
    """The runner's report on runs that are replaced by their outcome."""

    @pytest.fixture
    def played(self, parsed, monkeypatch, capsys):
        def play(fates, *more):
            parsed(*more)
            played = [SimpleNamespace(title=title) for title in fates]
            monkeypatch.setattr(runner, "runs_of", lambda *args: played)
            monkeypatch.setattr(runner, "is_done", lambda run, results: fates[run.title] == "there")

            def run_one(run, places, args):
                if isinstance(fates[run.title], Exception):
                    raise fates[run.title]
                return fates[run.title]

            monkeypatch.setattr(runner, "run_one", run_one)
            return runner.main(), capsys.readouterr()

        return play

    @pytest.mark.parametrize("jobs", [1, 2])
    def test_what_is_there_is_left_alone_and_failures_do_not_stop_the_rest(self, played, jobs):
        fates = {"a": "there", "b": RuntimeError("no memory"), "c": "Dice 0.9", "d": runner.IN_USE}
        status, printed = played(fates, "--jobs", jobs)
        assert status == 1
        lines = printed.out.splitlines()
        assert lines[0] == "4 trainings, 3 of them missing"
        assert sorted(line.split(": ", 1)[1] for line in lines[1:4]) == [
            "b: FAILED: no memory",
            "c: Dice 0.9",
            "d: in use",
        ]
        assert (lines[4:], printed.err) == (["left to another runner: d"], "failed: b\n")

    def test_all_is_well(self, played):
        status, printed = played({"a": "there", "b": "Dice 0.9"})
        assert (status, printed.err) == (0, "")

    def test_any_error_is_of_its_run_alone(self, played):
        status, printed = played({"a": KeyError("step_seconds_median"), "b": "Dice 0.9"})
        assert (status, "failed: a" in printed.err) == (1, True)


def test_a_folder_that_is_no_dataset(tmp_path, parsed):
    args = argparse.Namespace(**{**vars(parsed()), "work": tmp_path})
    with pytest.raises(SystemExit, match=r"--datasets must be folders DatasetXXX_NAME with a dataset\.json, got "):
        runner.runs_of(tmp_path / "Dataset001_Nothing", {}, args)
