"""Trainings with a seed."""

from pathlib import Path

import pytest
import torch

from nnunet_eas.trainer import EASUNetTrainer
from nnunet_eas.trainer.reproducible import SEED_VARIABLE, chosen_seed
from nnunet_eas.trainer.whole_checkpoints import LATEST

pytestmark = pytest.mark.slow


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
    def train(trainer=Short, resumes=None, configuration="2d"):
        monkeypatch.setenv("nnUNet_results", str(tmp_path / f"results_{len(list(tmp_path.iterdir()))}"))
        trainer = new_trainer(trainer, configuration)
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


@pytest.mark.parametrize("configuration", ["2d", "3d_fullres"])
def test_the_same_seed_gives_the_same_weights(train, monkeypatch, configuration):
    monkeypatch.setenv(SEED_VARIABLE, "5")
    first, second = (train(configuration=configuration) for _ in range(2))
    assert_equal(first, second)


def test_the_number_of_loading_processes_does_not_matter(blobs):
    """As real commands, with as many threads as these take."""
    results = []
    for processes in (0, 2):
        folder = blobs.host.folder / f"seeded_{processes}"
        command = blobs.train("2d", 0, trainer="EASUNetTrainer_seeded")
        blobs.host.run(*command, NNUNET_EAS_SEED=5, nnUNet_n_proc_DA=processes, nnUNet_results=folder)
        (file,) = folder.rglob("checkpoint_final.pth")
        results.append(torch.load(file, weights_only=False)["network_weights"])
    for name, value in results[0].items():
        assert torch.equal(value, results[1][name]), name


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


def test_an_interrupted_training_ends_with_the_same_weights(train, monkeypatch):
    monkeypatch.setenv(SEED_VARIABLE, "5")
    whole = train()
    interrupted = train(Shortened)
    latest = Path(interrupted.output_folder) / LATEST
    if not latest.is_file():  # nnU-Net writes none in the last epoch
        latest = latest.with_name("checkpoint_best.pth")
    assert torch.load(latest, weights_only=False)["current_epoch"] == 1
    assert_equal(whole, train(resumes=latest))


@pytest.mark.parametrize("value", ["-1", "1.5", "one"])
def test_a_seed_that_is_no_number(monkeypatch, value):
    monkeypatch.setenv(SEED_VARIABLE, value)
    with pytest.raises(ValueError, match=f"{SEED_VARIABLE} must be an integer from 0 on, got '{value}'"):
        chosen_seed()
