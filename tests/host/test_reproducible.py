"""Trainings with a seed."""

from pathlib import Path

import pytest
import torch

from nnunet_eas.trainer import EASUNetTrainer
from nnunet_eas.trainer.reproducible import SEED_VARIABLE, chosen_seed
from nnunet_eas.trainer.whole_checkpoints import LATEST


class Short(EASUNetTrainer):
    settings = {"num_epochs": 2, "num_iterations_per_epoch": 2, "num_val_iterations_per_epoch": 1, "save_every": 1}


class Shortened(Short):
    """Is interrupted in the second epoch."""

    steps = 0

    def train_step(self, batch):
        self.steps += 1
        if self.steps == 4:
            raise KeyboardInterrupt
        return super().train_step(batch)


@pytest.fixture(autouse=True)
def as_before():
    yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture
def train(new_trainer, monkeypatch, tmp_path):
    def train(trainer=Short, resumes=None, configuration="2d", processes=0):
        monkeypatch.setenv("nnUNet_results", str(tmp_path / f"results_{len(list(tmp_path.iterdir()))}"))
        trainer = new_trainer(trainer, configuration)
        # as nnUNetv2_train sets it; get_dataloaders looks at it
        monkeypatch.setenv("nnUNet_n_proc_DA", str(processes))
        if resumes is not None:
            trainer.load_checkpoint(str(resumes))
        try:
            trainer.run_training()
        except KeyboardInterrupt:
            trainer.dataloader_train = trainer.dataloader_val = None
        return trainer

    return train


def weights(trainer):
    return {name: value.clone() for name, value in trainer.network.state_dict().items()}


def assert_equal(a, b):
    for name, value in weights(a).items():
        assert torch.equal(value, weights(b)[name]), name


@pytest.mark.parametrize(("configuration", "processes"), [("2d", 2), ("3d_fullres", 0)])
def test_the_same_seed_gives_the_same_weights(train, monkeypatch, configuration, processes):
    monkeypatch.setenv(SEED_VARIABLE, "5")
    first, second = (train(configuration=configuration, processes=processes) for _ in range(2))
    assert_equal(first, second)


def test_the_number_of_loading_processes_does_not_matter(train, monkeypatch):
    monkeypatch.setenv(SEED_VARIABLE, "5")
    assert_equal(train(processes=0), train(processes=2))


def test_other_seeds_give_other_weights(train, monkeypatch):
    of_seed = []
    for seed in ("5", "6", ""):
        monkeypatch.setenv(SEED_VARIABLE, seed)
        of_seed.append(weights(train()))
    assert not any(
        torch.equal(of_seed[i][name], of_seed[j][name])
        for i, j in ((0, 1), (0, 2))
        for name in of_seed[0]
        if name.endswith("conv.weight")
    )


@pytest.mark.parametrize("processes", [0, 2])
def test_an_interrupted_training_ends_with_the_same_weights(train, monkeypatch, processes):
    monkeypatch.setenv(SEED_VARIABLE, "5")
    whole = train(processes=processes)
    interrupted = train(Shortened, processes=processes)
    latest = Path(interrupted.output_folder) / LATEST
    assert torch.load(latest, weights_only=False)["current_epoch"] == 1
    assert_equal(whole, train(resumes=latest, processes=processes))


@pytest.mark.parametrize("value", ["-1", "1.5", "one"])
def test_a_seed_that_is_no_number(monkeypatch, value):
    monkeypatch.setenv(SEED_VARIABLE, value)
    with pytest.raises(ValueError, match=f"{SEED_VARIABLE} must be an integer from 0 on, got '{value}'"):
        chosen_seed()
