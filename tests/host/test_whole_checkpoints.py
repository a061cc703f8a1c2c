"""Checkpoints under kills, damage and a full disk."""

import os
import pickle
import zipfile
from pathlib import Path

import pytest
import torch

from nnunet_eas.trainer.whole_checkpoints import FINAL, LATEST, PREVIOUS

BEST = "checkpoint_best.pth"


@pytest.fixture
def trainer(new_trainer):
    trainer = new_trainer()
    trainer.initialize()
    return trainer


@pytest.fixture
def folder(trainer):
    return Path(trainer.output_folder)


def save(trainer, name, epoch):
    trainer.current_epoch = epoch
    trainer.save_checkpoint(str(Path(trainer.output_folder) / name))


def epoch_of(file):
    return torch.load(file, weights_only=False)["current_epoch"]


def cut(file):
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])


def flip(file):
    """Changes one byte of the weights."""
    with zipfile.ZipFile(file) as archive:
        place = max(archive.infolist(), key=lambda part: part.file_size).header_offset + 200
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    file.write_bytes(content)


def test_the_one_before_the_latest_is_kept(trainer, folder):
    for epoch in (3, 4, 5):
        save(trainer, LATEST, epoch)
    assert (epoch_of(folder / LATEST), epoch_of(folder / PREVIOUS)) == (6, 5)
    assert {path.name for path in folder.glob("*.pth*")} == {LATEST, PREVIOUS}


def test_a_checkpoint_gets_its_name_when_it_is_on_the_disk(trainer, folder, monkeypatch):
    synced = []
    real = os.fsync

    def fsync(descriptor):
        real(descriptor)
        synced.append((os.readlink(f"/proc/self/fd/{descriptor}"), (folder / LATEST).exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    save(trainer, LATEST, 3)
    assert synced == [(f"{folder / LATEST}.tmp", False), (str(folder), True)]


@pytest.mark.parametrize("damage", [cut, flip, lambda file: file.write_bytes(b""), lambda file: file.write_text("x")])
def test_a_damaged_latest_checkpoint(trainer, folder, damage):
    save(trainer, LATEST, 3)
    save(trainer, LATEST, 4)
    damage(folder / LATEST)
    trainer.load_checkpoint(str(folder / LATEST))
    assert trainer.current_epoch == 4
    assert f"The one before, {PREVIOUS}, is loaded instead." in Path(trainer.log_file).read_text()
    save(trainer, LATEST, 4)
    assert (epoch_of(folder / LATEST), epoch_of(folder / PREVIOUS)) == (5, 4)


@pytest.mark.parametrize("damage", [cut, flip])
def test_a_damaged_checkpoint_without_another(trainer, folder, damage):
    save(trainer, FINAL, 3)
    damage(folder / FINAL)
    with pytest.raises(ValueError, match=r"The checkpoint must be whole, got .*checkpoint_final\.pth, wh"):
        trainer.load_checkpoint(str(folder / FINAL))


def test_a_full_disk_keeps_the_checkpoint_of_before(trainer, folder, monkeypatch):
    save(trainer, LATEST, 3)

    def full(checkpoint, filename):
        Path(filename).write_bytes(b"half")
        raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534")  # PyTorch's words

    monkeypatch.setattr(torch, "save", full)
    save(trainer, LATEST, 4)
    assert epoch_of(folder / LATEST) == 4
    assert {path.name for path in folder.glob("*.pth*")} == {LATEST}
    assert "MB left. The checkpoint of before stays; training goes on." in Path(trainer.log_file).read_text()
    with pytest.raises(RuntimeError, match=r"checkpoint_final\.pth could not be written .*Make room, and continue"):
        save(trainer, FINAL, 5)
    assert {path.name for path in folder.glob("*.pth*")} == {LATEST}


def test_a_folder_that_is_gone_ends_training(trainer, folder):
    folder.rename(folder.with_name("elsewhere"))
    with pytest.raises(RuntimeError, match=r"Parent directory .* does not exist"):
        save(trainer, LATEST, 3)


def test_a_best_checkpoint_that_was_not_written_is_not_the_best(trainer, folder, monkeypatch):
    for name, value in {"mean_fg_dice": 0.5, "ema_fg_dice": 0.5, "dice_per_class_or_region": [0.5, 0.5]}.items():
        trainer.logger.log(name, value, 0)
    for name in ("train_losses", "val_losses", "epoch_start_timestamps"):
        trainer.logger.log(name, 0.0, 0)
    monkeypatch.setattr(trainer.logger, "plot_progress_png", lambda *_: None)
    trainer._best_ema = 0.4
    with monkeypatch.context() as full_disk:
        full_disk.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        trainer.on_epoch_end()
    assert not (folder / BEST).exists()
    assert trainer._best_ema == 0.4
    trainer.current_epoch = 0
    trainer.on_epoch_end()
    assert (folder / BEST).exists()
    assert trainer._best_ema == 0.5


def test_a_checkpoint_that_does_not_read_back_is_not_taken(trainer, folder, monkeypatch):
    save(trainer, LATEST, 3)
    real = torch.save

    def damaged(checkpoint, filename):
        real(checkpoint, filename)
        flip(Path(filename))

    monkeypatch.setattr(torch, "save", damaged)
    save(trainer, LATEST, 4)
    assert epoch_of(folder / LATEST) == 4


def test_without_links_only_the_latest_is_kept(trainer, folder, monkeypatch):
    monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError("no links here")))
    for epoch in (3, 4):
        save(trainer, LATEST, epoch)
    assert epoch_of(folder / LATEST) == 5
    assert not (folder / PREVIOUS).exists()


def test_a_full_disk_at_an_epochs_end(trainer, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    for name, value in {"mean_fg_dice": 0.5, "ema_fg_dice": 0.5, "dice_per_class_or_region": [0.5, 0.5]}.items():
        trainer.logger.log(name, value, 0)
    for name in ("train_losses", "val_losses", "epoch_start_timestamps"):
        trainer.logger.log(name, 0.0, 0)
    monkeypatch.setattr(trainer.logger, "plot_progress_png", full)
    trainer.on_epoch_end()
    assert trainer.current_epoch == 1
    assert "is full; training goes on." in Path(trainer.log_file).read_text()


class Runs:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_a_checkpoint_that_would_run_something(trainer, folder, tmp_path):
    save(trainer, LATEST, 3)
    content = torch.load(folder / LATEST, weights_only=False)
    torch.save({**content, "logging": Runs(str(tmp_path / "ran"))}, folder / LATEST)
    with pytest.raises(ValueError, match=r"would also load posix\.mkdir.*NNUNET_EAS_TRUST=1"):
        trainer.load_checkpoint(str(folder / LATEST))
    assert not (tmp_path / "ran").exists()


def test_a_checkpoint_of_the_old_form(trainer, folder, tmp_path):
    (folder / LATEST).write_bytes(pickle.dumps(Runs(str(tmp_path / "ran"))))
    with pytest.raises(ValueError, match="cut off or of another format"):
        trainer.load_checkpoint(str(folder / LATEST))
    assert not (tmp_path / "ran").exists()
