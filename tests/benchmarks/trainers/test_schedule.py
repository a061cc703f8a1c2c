"""The schedule of every compared training with nnU-Net's trainer around it: length, seed, lines, checkpoints."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.compare.networks import NETWORKS

pytestmark = pytest.mark.slow  # the planned dataset comes from a command

RIVALS = ("unet", "attention_unet", "segnet", "unet_plus_plus", "deeplabv3plus")


def lines_of(folder):
    return json.loads((Path(folder) / "epochs.json").read_text())


def outcome(folder):
    """The result of a training: its lines without times, and its weights."""
    lines = [{key: value for key, value in line.items() if "seconds" not in key} for line in lines_of(folder)]
    return lines, torch.load(Path(folder) / "checkpoint_final.pth", weights_only=False)["network_weights"]


def steps(trainer, number):
    """The batches of the first steps."""
    batches = []
    trainer.on_train_start()
    for _ in range(number):
        batches.append(next(trainer.dataloader_train))
        trainer.train_step(batches[-1])
    return batches


def same_samples(first, second):
    """Whether all images and masks are equal; the largest masks, where the networks have several outputs."""
    masks = [[b["target"][0] if isinstance(b["target"], list) else b["target"] for b in of] for of in (first, second)]
    images = [[b["data"] for b in of] for of in (first, second)]
    return [all(torch.equal(*pair) for pair in zip(*of, strict=True)) for of in (images, masks)] == [True, True]


@pytest.fixture(scope="module")
def by_command(tiny, tmp_path_factory):
    """A fold as nnUNetv2_train leaves it, with seed 0."""
    results = tmp_path_factory.mktemp("by_command")
    tiny.prepared().configuration("default", NETWORKS["default"], "2d")
    command = ("nnUNetv2_train", 905, "2d", 0, "-tr", "nnUNetTrainer_short", "-p", "default", "-device", "cpu")
    tiny.run(*command, results=results, BENCHMARK_SEED=0)
    return results / tiny.name / "nnUNetTrainer_short__default__2d" / "fold_0"


@pytest.fixture
def train(new_trainer):
    """Runs the same training in this process, in a results folder of its own."""

    def train(seed):
        trainer = new_trainer(BENCHMARK_SEED=seed)
        trainer.run_training()
        return outcome(trainer.output_folder)

    return train


class TestSeed:
    def test_the_length_is_what_was_asked_for(self, by_command):
        lines = lines_of(by_command)
        assert [(line["epoch"], line["iterations"]) for line in lines] == [(0, 2), (1, 2), (2, 2)]
        for line in lines:
            assert 0 < line["step_seconds_median"] < line["seconds"]
            assert len(line["pseudo_dice"]) == 2
        assert (by_command / "validation" / "summary.json").is_file()

    def test_the_same_seed_gives_the_same_training_in_another_process(self, by_command, train):
        (lines, weights), (their_lines, their_weights) = train(0), outcome(by_command)
        assert lines == their_lines
        assert list(weights) == list(their_weights)
        assert all(torch.equal(weights[key], their_weights[key]) for key in weights)

    def test_another_seed_gives_another_training(self, by_command, train):
        (lines, weights), (their_lines, their_weights) = train(1), outcome(by_command)
        assert [line["train_loss"] for line in lines] != [line["train_loss"] for line in their_lines]
        (first, *_) = weights
        assert not torch.equal(weights[first], their_weights[first])

    def test_weights_before_the_first_step_go_by_the_seed(self, new_trainer):
        made = []
        for seed in (0, 0, 1):
            trainer = new_trainer(BENCHMARK_SEED=seed)
            trainer.initialize()
            made.append(torch.nn.utils.parameters_to_vector(trainer.network.parameters()))
        assert torch.equal(made[0], made[1])
        assert not torch.equal(made[0], made[2])


class TestSamples:
    @pytest.fixture
    def default_s(self, new_trainer):
        return steps(new_trainer("default"), 3)

    @pytest.mark.parametrize(
        "name",
        [
            "eas",
            *RIVALS[:-1],
            pytest.param("deeplabv3plus", marks=pytest.mark.xfail(reason="its dropout draws as well", strict=True)),
        ],
    )
    def test_all_networks_see_the_same(self, new_trainer, default_s, name):
        trainer = new_trainer(name)
        assert same_samples(steps(trainer, 3), default_s)
        with torch.no_grad():
            found = trainer.validation_step(next(trainer.dataloader_val))
        assert np.isfinite(found["loss"])

    def test_they_differ_from_batch_to_batch_and_from_seed_to_seed(self, new_trainer, default_s):
        assert not same_samples(default_s[:1], default_s[1:2])
        assert not same_samples(steps(new_trainer(BENCHMARK_SEED=1), 1), default_s[:1])

    def test_a_resumed_training_does_not_begin_with_those_of_the_first_epoch(self, new_trainer, default_s):
        trainer = new_trainer()
        trainer.initialize()
        trainer.current_epoch = 1  # as a checkpoint says
        assert not same_samples(steps(trainer, 1), default_s[:1])

    def test_with_a_process_that_loads(self, new_trainer):
        first, again, other = (steps(new_trainer(BENCHMARK_SEED=seed, nnUNet_n_proc_DA=1), 1) for seed in (0, 0, 1))
        assert same_samples(first, again)
        assert not same_samples(first, other)


class TestSeconds:
    @pytest.mark.parametrize(
        ("seconds", "epoch", "expected"),
        [
            # a budget of 100 s, 11 epochs; five steps an epoch so far
            ([], 0, 5),
            ([10], 1, 4),  # 90 s for 10 epochs of 2 s a step
            ([10, 5], 2, 9),  # 85 s for 9 epochs, 1 s a step: the last epoch's speed counts
            ([10] * 10, 10, 1),  # nothing is left
            ([50, 60], 2, 1),  # less than nothing
            ([0.05], 1, 999),  # 99.95 s for 10 epochs of 10 ms a step
            ([10, 999], 1, 4),  # the epoch in which it was cut is not in it
        ],
    )
    def test_iterations_share_what_is_left(self, new_trainer, seconds, epoch, expected):
        trainer = new_trainer(BENCHMARK_SECONDS=100, BENCHMARK_EPOCHS=11, BENCHMARK_ITERATIONS=77)
        trainer.initialize()
        trainer.current_epoch = epoch
        lines = [{"epoch": number, "seconds": s, "iterations": 5} for number, s in enumerate(seconds)]
        (Path(trainer.output_folder) / "epochs.json").write_text(json.dumps(lines))
        trainer.logger.log = lambda *args: None  # it would miss the epochs before
        trainer.on_train_epoch_start()
        assert trainer.num_iterations_per_epoch == expected

    def test_the_first_epoch_and_the_others(self, new_trainer):
        trainer = new_trainer(BENCHMARK_SECONDS=0.001)  # gone after the first step
        trainer.run_training()
        assert [line["iterations"] for line in lines_of(trainer.output_folder)] == [5, 1, 1]


class TestLines:
    def test_a_killed_epoch_s_line_is_replaced(self, new_trainer):
        trainer = new_trainer(BENCHMARK_EPOCHS=2)
        trainer.initialize()
        left = [{"epoch": 0, "seconds": 999.0}, {"epoch": 1, "seconds": 999.0}]
        (Path(trainer.output_folder) / "epochs.json").write_text(json.dumps(left))
        trainer.run_training()
        lines = lines_of(trainer.output_folder)
        assert [line["epoch"] for line in lines] == [0, 1]
        assert all(line["seconds"] < 999 and line["iterations"] == 2 for line in lines)

    def test_a_checkpoint_never_knows_of_an_epoch_without_a_line(self, new_trainer):
        trainer = new_trainer()
        seen = {}
        save = trainer.save_checkpoint

        def saved(filename):
            seen.setdefault(Path(filename).name, []).append(len(lines_of(trainer.output_folder)))
            save(filename)

        trainer.save_checkpoint = saved
        trainer.run_training()
        assert seen["checkpoint_latest.pth"] == [1, 2]  # nnU-Net leaves out the one after the last epoch
        assert seen["checkpoint_final.pth"] == [3]


class TestCheckpoint:
    def test_a_failed_write_leaves_the_one_before(self, new_trainer, tmp_path, monkeypatch):
        trainer = new_trainer()
        trainer.initialize()
        checkpoint = tmp_path / "checkpoint_latest.pth"
        trainer.save_checkpoint(str(checkpoint))
        before = checkpoint.read_bytes()

        def full_disk(content, path):
            Path(path).write_bytes(b"half a checkpoint")
            raise OSError("No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(torch, "save", full_disk)
            with pytest.raises(OSError, match="No space left"):
                trainer.save_checkpoint(str(checkpoint))
        assert checkpoint.read_bytes() == before
        trainer.current_epoch = 7
        trainer.save_checkpoint(str(checkpoint))
        assert torch.load(checkpoint, weights_only=False)["current_epoch"] == 8
        assert [path.name for path in tmp_path.glob("checkpoint*")] == [checkpoint.name]

    def test_none_is_written_where_nnunet_writes_none(self, new_trainer, tmp_path):
        trainer = new_trainer()
        trainer.initialize()
        trainer.disable_checkpointing = True
        trainer.save_checkpoint(str(tmp_path / "checkpoint.pth"))
        assert list(tmp_path.glob("checkpoint*")) == []


def test_a_warmed_up_learning_rate_rises_over_the_first_twentieth(new_trainer):
    trainer = new_trainer("v_shortcut_batch_gate_warmup", BENCHMARK_EPOCHS=20, BENCHMARK_ITERATIONS=4)
    trainer.on_train_start()
    rates = {0: [], 1: []}
    for epoch, of_epoch in rates.items():
        trainer.current_epoch = epoch
        trainer.on_train_epoch_start()
        for _ in range(4):
            trainer.train_step(next(trainer.dataloader_train))
            of_epoch.append(trainer.optimizer.param_groups[0]["lr"])
    assert rates[0] == pytest.approx([0.0025, 0.005, 0.0075, 0.01])
    assert rates[1] == pytest.approx([0.01 * (1 - 1 / 20) ** 0.9] * 4)


def test_threads(new_trainer):
    new_trainer(BENCHMARK_THREADS=1)
    assert torch.get_num_threads() == 1
    new_trainer(BENCHMARK_THREADS=3)
    assert torch.get_num_threads() == 3


@pytest.mark.parametrize("name", RIVALS)
def test_rivals_have_no_deep_supervision(new_trainer, name):
    trainer = new_trainer(name)
    trainer.initialize()
    assert not trainer.enable_deep_supervision
    assert trainer._get_deep_supervision_scales() is None
    trainer.set_deep_supervision_enabled(False)  # nnU-Net switches it off before prediction
