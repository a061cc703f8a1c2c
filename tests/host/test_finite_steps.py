"""Steps and images whose values are not finite."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from nnunet_eas.trainer import EASUNetTrainer_bf16, EASUNetTrainer_fp32
from nnunet_eas.trainer.finite_steps import MOST_IN_A_ROW


@pytest.fixture
def trainer(new_trainer):
    trainer = new_trainer()
    trainer.initialize()
    trainer.num_iterations_per_epoch = 3
    return trainer


@pytest.fixture
def batch(trainer):
    images = torch.randn(2, trainer.num_input_channels, *trainer.configuration_manager.patch_size)
    shapes = [
        [int(edge * factor) for edge, factor in zip(images.shape[2:], scale, strict=True)]
        for scale in trainer._get_deep_supervision_scales()
    ]
    return {"data": images, "target": [torch.zeros(2, 1, *shape) for shape in shapes], "keys": ["blob_1", "blob_4"]}


def state(trainer):
    momentum = [one["momentum_buffer"] for one in trainer.optimizer.state.values()]
    return [value.clone() for value in (*trainer.network.state_dict().values(), *momentum)]


def spoil(trainer, batch, monkeypatch, where):
    """Makes the image, or a gradient alone, infinite."""
    if where == "image":
        batch["data"][0, 0, 3, 4] = float("inf")
    else:
        weight = next(iter(trainer.network.parameters()))
        weight.register_hook(lambda grad: torch.full_like(grad, float("nan")))


@pytest.mark.parametrize("where", ["image", "gradient"])
def test_a_step_that_is_not_finite_changes_nothing(trainer, batch, monkeypatch, where):
    trainer.train_step(batch)
    before = state(trainer)
    spoil(trainer, batch, monkeypatch, where)
    trainer.train_step(batch)
    after = state(trainer)
    n_statistics = len(list(trainer.network.buffers()))
    changed = [not torch.equal(a, b) for a, b in zip(before, after, strict=True)]
    # a gradient alone: the forward pass was finite, and its statistics count
    assert sum(changed) == (0 if where == "image" else n_statistics)


def test_the_next_step_trains_again(trainer, batch):
    batch["data"][0, 0, 3, 4] = float("inf")
    trainer.train_step(batch)
    before = state(trainer)
    batch["data"][0, 0, 3, 4] = 0
    outputs = trainer.train_step(batch)
    assert np.isfinite(outputs["loss"])
    assert not any(torch.equal(a, b) for a, b in zip(before, state(trainer)) if a.is_floating_point() and a.numel() > 8)


def test_the_log_counts_them_and_the_mean_is_of_the_others(trainer, batch):
    first = trainer.train_step(batch)
    good = batch["data"].clone()
    batch["data"][0, 0, 3, 4] = float("inf")
    bad = trainer.train_step(batch)
    batch["data"] = good
    last = trainer.train_step(batch)
    trainer.on_train_epoch_end([first, bad, last])
    assert "1 of 3 steps were skipped: their gradients were not finite." in Path(trainer.log_file).read_text()
    assert trainer.logger.get_value("train_losses", step=-1) == pytest.approx((first["loss"] + last["loss"]) / 2)


def test_many_in_a_row_end_the_training(trainer, batch):
    batch["data"][:] = float("nan")
    for _ in range(MOST_IN_A_ROW - 1):
        trainer.train_step(batch)
    with pytest.raises(
        RuntimeError, match=r"got 25 steps in a row in epoch 0 .*blob_1, blob_4\). No checkpoint was written before"
    ):
        trainer.train_step(batch)


def test_the_message_names_the_last_checkpoint(trainer, batch):
    file = Path(trainer.output_folder) / "checkpoint_best.pth"
    trainer.save_checkpoint(str(file))
    batch["data"][:] = float("nan")
    for _ in range(MOST_IN_A_ROW - 1):
        trainer.train_step(batch)
    with pytest.raises(RuntimeError, match=rf"{re.escape(str(file))} has the weights of before; --c continues there"):
        trainer.train_step(batch)


def test_some_in_a_row_are_forgotten_after_a_good_one(trainer, batch):
    good, bad = batch["data"].clone(), torch.full_like(batch["data"], float("nan"))
    for _ in range(2):
        for images in (*[bad] * (MOST_IN_A_ROW - 1), good):
            batch["data"] = images
            trainer.train_step(batch)


def test_single_precision_needs_no_scaler(new_trainer):
    before = torch.get_autocast_dtype("cuda")
    try:
        trainer = new_trainer(EASUNetTrainer_fp32)
        assert isinstance(trainer, EASUNetTrainer_bf16)
        assert trainer.grad_scaler is None
        trainer.initialize()
        assert torch.get_autocast_dtype("cuda") == torch.float32
    finally:
        torch.set_autocast_dtype("cuda", before)


class TestData:
    @pytest.fixture
    def spoilt(self, new_trainer, blobs, tmp_path):
        """A trainer on a copy of the data in which one case has a NaN."""
        import shutil

        trainer = new_trainer()
        folder = tmp_path / "preprocessed" / Path(trainer.preprocessed_dataset_folder).name
        shutil.copytree(trainer.preprocessed_dataset_folder, folder)
        trainer.preprocessed_dataset_folder = str(folder)
        return trainer

    def spoil(self, trainer, case):
        import blosc2

        file = Path(trainer.preprocessed_dataset_folder) / f"{case}.b2nd"
        images = blosc2.open(urlpath=str(file), mode="r")[:]
        images[0, 1, 2, 3] = np.nan
        blosc2.asarray(images, urlpath=str(file), mode="w")

    def test_cases_are_named(self, spoilt):
        case = spoilt.do_split()[1][0]  # of the validation
        self.spoil(spoilt, case)
        with pytest.raises(RuntimeError, match=rf"NaN or infinity in 1 of \d+ preprocessed cases: {case}\. Repair"):
            spoilt.get_tr_and_val_datasets()

    def test_what_was_seen_is_not_read_again(self, spoilt, monkeypatch):
        from nnunet_eas.trainer import finite_data

        read, real = [], finite_data._is_finite
        monkeypatch.setattr(finite_data, "_is_finite", lambda file: read.append(file.stem) or real(file))
        spoilt.get_tr_and_val_datasets()
        assert len(read) == len(set(read)) == sum(map(len, spoilt.do_split()))
        spoilt.get_tr_and_val_datasets()
        assert len(read) == len(set(read))
        self.spoil(spoilt, read[0])
        with pytest.raises(RuntimeError, match=f"cases: {read[0]}"):
            spoilt.get_tr_and_val_datasets()
        assert read[len(set(read)) :] == [read[0]]

    @pytest.mark.parametrize("content", ["", "[]", '{"blob_1": 3}', "{"])
    def test_a_damaged_list_is_written_again(self, spoilt, content):
        folder = Path(spoilt.preprocessed_dataset_folder)
        seen = folder.parent / f".finite_{folder.name}.json"
        seen.write_text(content)
        spoilt.get_tr_and_val_datasets()
        assert all(one["finite"] for one in json.loads(seen.read_text()).values())

    def test_a_folder_that_is_read_only(self, spoilt, monkeypatch):
        from nnunet_eas.trainer import finite_data

        def refused(*_):
            raise OSError(30, "Read-only file system")

        monkeypatch.setattr(finite_data, "write_json", refused)
        spoilt.get_tr_and_val_datasets()
        self.spoil(spoilt, spoilt.do_split()[0][0])
        with pytest.raises(RuntimeError, match="NaN or infinity in 1 of"):
            spoilt.get_tr_and_val_datasets()

    def test_the_processes_of_several_gpus_look_at_a_share_each(self, spoilt, monkeypatch):
        from nnunet_eas.trainer import finite_data

        read, real = [], finite_data._is_finite
        monkeypatch.setattr(finite_data, "_is_finite", lambda file: read.append(file.stem) or real(file))
        monkeypatch.setattr(finite_data.dist, "get_world_size", lambda: 2)
        cases = sorted([*spoilt.do_split()[0], *spoilt.do_split()[1]])
        spoilt.is_ddp = True
        for rank in (0, 1):
            spoilt.local_rank = rank
            spoilt.get_tr_and_val_datasets()
            assert sorted(read) == cases[rank::2]
            read.clear()
        spoilt.is_ddp, spoilt.local_rank = False, 0
        spoilt.get_tr_and_val_datasets()
        assert read == []  # both processes' lists are read
