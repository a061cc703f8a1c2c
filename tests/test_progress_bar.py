"""The bar inside an epoch, on terminals only."""

import io

import pytest

from nnunet_eas.trainer import progress_bar
from nnunet_eas.trainer.progress_bar import ProgressBar


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Trainer(ProgressBar):
    """A trainer without nnU-Net's constructor."""

    def __init__(self):
        self.num_iterations_per_epoch, self.current_epoch, self.local_rank = 3, 7, 0


@pytest.fixture
def shown(monkeypatch):
    """Runs an epoch of three steps and returns what it writes to a stream."""

    def shown(stream, rank=0):
        trainer = Trainer()
        trainer.local_rank = rank
        nnunet_trainer = ProgressBar.__mro__[1]
        monkeypatch.setattr(nnunet_trainer, "on_train_epoch_start", lambda self: None)
        monkeypatch.setattr(nnunet_trainer, "train_step", lambda self, batch: {"loss": batch})
        monkeypatch.setattr(nnunet_trainer, "on_train_epoch_end", lambda self, outputs: None)
        real = progress_bar.tqdm
        monkeypatch.setattr(progress_bar, "tqdm", lambda **kwargs: real(**kwargs, file=stream, mininterval=0, ncols=80))
        trainer.on_train_epoch_start()
        outputs = [trainer.train_step(loss) for loss in (0.5, 0.25, -0.125)]
        assert outputs == [{"loss": loss} for loss in (0.5, 0.25, -0.125)]
        trainer.on_train_epoch_end(outputs)
        return stream.getvalue()

    return shown


def test_on_a_terminal_it_shows_loss_and_steps_and_disappears(shown):
    written = shown(Terminal())
    assert "epoch 7" in written
    assert "loss=-0.1250" in written
    assert "3/3" in written
    assert written.endswith("\r")


def test_elsewhere_and_on_other_ranks_it_is_quiet(shown):
    assert shown(io.StringIO()) == ""


def test_other_processes_of_a_training_are_quiet(shown):
    assert shown(Terminal(), rank=1) == ""
