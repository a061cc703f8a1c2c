"""The trainers, called without a command: lengths, the paper's recipe, errors, safe checkpoints."""

import copy
import json
import math
import time

import numpy as np
import pytest
import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

import nnunet_eas.trainer
from nnunet_eas.cpu.recompute import RecomputingStage
from nnunet_eas.gpu.recompute import CheckpointedStage
from nnunet_eas.network.eas_unet import ARCH_FORMAT
from nnunet_eas.plans.translation import translate_plans
from nnunet_eas.trainer import EASUNetTrainer, EASUNetTrainer_bf16, EASUNetTrainer_noMirrorLR, EASUNetTrainer_paper

pytestmark = pytest.mark.slow  # a command plans the dataset


@pytest.fixture
def plans(blobs):
    return json.loads(blobs.plans)


def architecture(plans, configuration="2d"):
    return plans["configurations"][configuration]["architecture"]


@pytest.mark.parametrize(
    ("name", "epochs"),
    [
        ("EASUNetTrainer", 1000),
        ("EASUNetTrainer_5epochs", 5),
        ("EASUNetTrainer_20epochs", 20),
        ("EASUNetTrainer_50epochs", 50),
        ("EASUNetTrainer_100epochs", 100),
        ("EASUNetTrainer_250epochs", 250),
    ],
)
def test_lengths(new_trainer, name, epochs):
    trainer = new_trainer(getattr(nnunet_eas.trainer, name))
    assert trainer.num_epochs == epochs
    assert trainer.num_iterations_per_epoch == 250
    trainer.initialize()
    trainer.lr_scheduler.step(epochs - 1)  # the schedule ends with the training
    assert trainer.optimizer.param_groups[0]["lr"] == pytest.approx(0.01 * (1 / epochs) ** 0.9)


@pytest.mark.parametrize(("configuration", "batch_size"), [("2d", 16), ("3d_fullres", 2)])
def test_paper_recipe(new_trainer, plans, configuration, batch_size):
    for content in plans["configurations"].values():
        content["batch_size"] = 2
    trainer = new_trainer(EASUNetTrainer_paper, configuration, plans=plans)
    network = trainer.configuration_manager.network_arch_init_kwargs
    norm = {"2d": "BatchNorm2d", "3d_fullres": "InstanceNorm3d"}[configuration]
    assert (network["norm_op"].split(".")[-1], network["shortcut"], network["eas_first_scale"]) == (norm, False, None)
    trainer.on_train_start()
    assert trainer.num_epochs == 50
    assert trainer.batch_size == trainer.dataloader_train.data_loader.batch_size == batch_size
    assert isinstance(trainer.optimizer, torch.optim.SGD)
    (group,) = trainer.optimizer.param_groups
    assert (group["momentum"], group["nesterov"], group["weight_decay"]) == (0.9, False, 1e-4)
    for epoch in (0, 25, 49):
        trainer.lr_scheduler.step(epoch)
        assert group["lr"] == 0.01

    # one pass over the four training scans: slices in 2d, patches' worth of voxels in 3-D
    shapes = [np.array([14, 22, 30])] * 4
    patch = trainer.configuration_manager.patch_size
    samples = sum(s[0] if configuration == "2d" else np.prod(s) / np.prod(patch) for s in shapes)
    assert trainer.num_iterations_per_epoch == math.ceil(samples / batch_size) > 1


@pytest.mark.parametrize(("planned", "recompute"), [(15, True), (16, False)])
def test_the_paper_s_batch_needs_no_more_memory_than_the_planned_one(new_trainer, plans, planned, recompute):
    own = translate_plans(plans)
    own["configurations"]["2d"].update(batch_size=planned, recompute=False)
    trainer = new_trainer(EASUNetTrainer_paper, plans=own)
    assert trainer.configuration_manager.configuration["recompute"] == recompute


@pytest.mark.parametrize("compiled", ["0", "1"])
@pytest.mark.parametrize(("device", "kind"), [("cpu", RecomputingStage), ("meta", CheckpointedStage)])
def test_recomputation_by_the_plan(new_trainer, plans, monkeypatch, device, kind, compiled):
    """A translated plan has it; meta stands for a GPU."""
    monkeypatch.setenv("nnUNet_compile", compiled)
    trainer = new_trainer(device=device)
    trainer.initialize()
    assert kind in map(type, trainer.network.modules())
    own = new_trainer(plans=translate_plans(plans)).plans_manager.plans
    for recompute in (True, False):
        own["configurations"]["2d"]["recompute"] = recompute
        trainer = new_trainer(plans=own, device=device)
        trainer.initialize()
        checkpointed = CheckpointedStage in map(type, trainer.network.modules())
        assert checkpointed == (recompute and device == "meta")


@pytest.mark.parametrize("setting", [{"disable_checkpointing": True}, {"local_rank": 1}])
def test_a_trainer_that_writes_no_checkpoint_changes_none(new_trainer, tmp_path, setting):
    trainer = new_trainer()
    trainer.initialize()
    vars(trainer).update(setting)
    unfinished = tmp_path / "checkpoint.pth.tmp"  # from rank 0, which is writing it, or from a killed run
    unfinished.write_bytes(b"half a checkpoint")
    trainer.save_checkpoint(str(tmp_path / "checkpoint.pth"))
    assert list(tmp_path.glob("checkpoint*")) == [unfinished]


class TestBadPlan:
    def test_patch_not_divisible_by_the_strides(self, new_trainer, plans):
        plans["configurations"]["2d"]["patch_size"] = [24, 30]
        with pytest.raises(ValueError, match=r"2d of nnUNetPlans: patch_size must be divisible by \[4, 4\].*24, 32"):
            new_trainer(plans=plans)

    def test_one_stage(self, new_trainer, plans):
        arguments = architecture(plans)["arch_kwargs"]
        arguments["n_stages"] = 1
        for key in ("features_per_stage", "kernel_sizes", "strides", "n_conv_per_stage"):
            arguments[key] = arguments[key][:1]
        with pytest.raises(ValueError, match="n_stages must be at least 2, got 1"):
            new_trainer(plans=plans)

    @pytest.mark.parametrize("key", ["features_per_stage", "kernel_sizes", "strides"])
    def test_lengths_that_do_not_match(self, new_trainer, plans, key):
        architecture(plans)["arch_kwargs"][key].append([2, 2])
        with pytest.raises(ValueError, match=f"{key} must have n_stages = 3 entries, got 4"):
            new_trainer(plans=plans)

    def test_no_unet(self, new_trainer, plans):
        plans["configurations"]["2d"]["architecture"] = {
            "network_class_name": "dynamic_network_architectures.architectures.primus.Primus",
            "arch_kwargs": {"embed_dim": 396, "patch_embed_size": [8, 8], "eva_depth": 12, "eva_numheads": 6},
            "_kw_requires_import": [],
        }
        with pytest.raises(ValueError, match=r"architecture must be a U-Net.*got .*Primus without n_stages"):
            new_trainer(plans=plans)

    def test_later_format(self, new_trainer, plans):
        plans = new_trainer(plans=plans).plans_manager.plans
        architecture(plans)["arch_kwargs"].update(arch_format=ARCH_FORMAT + 1, not_known_yet=True)
        with pytest.raises(ValueError, match=rf"arch_format must be at most {ARCH_FORMAT}.*pip install --upgrade"):
            new_trainer(plans=plans).initialize()

    def test_caller_keeps_its_plans(self, new_trainer, plans):
        before = copy.deepcopy(plans)
        new_trainer(plans=plans)
        assert plans == before


def test_a_truncated_plans_file_beside_the_model_is_ignored(new_trainer, tmp_path):
    trainer = new_trainer()
    saved = tmp_path / "results" / trainer.plans_manager.dataset_name / "EASUNetTrainer__nnUNetPlans__2d" / "plans.json"
    saved.write_text('{"configurations": {"2d": {')
    assert new_trainer().plans_manager.plans == trainer.plans_manager.plans


def test_a_truncated_plans_file_beside_trained_folds_is_refused(new_trainer, tmp_path):
    trainer = new_trainer()
    model = tmp_path / "results" / trainer.plans_manager.dataset_name / "EASUNetTrainer__nnUNetPlans__2d"
    (model / "plans.json").write_text('{"configurations": {"2d": {')
    (model / "fold_0" / "checkpoint_latest.pth").touch()
    with pytest.raises(ValueError, match=r"plans\.json must be a whole JSON file, .* got a part of one"):
        new_trainer()


def test_a_plans_file_that_is_completed_meanwhile_is_read(new_trainer, tmp_path, monkeypatch):
    trainer = new_trainer()
    saved = tmp_path / "results" / trainer.plans_manager.dataset_name / "EASUNetTrainer__nnUNetPlans__2d" / "plans.json"
    content = copy.deepcopy(trainer.plans_manager.plans)
    architecture(content)["arch_kwargs"].update(arch_format=1, shortcut=False)
    saved.write_text('{"configurations": {"2d": {')
    monkeypatch.setattr(time, "sleep", lambda seconds: saved.write_text(json.dumps(content)))
    later = new_trainer()
    assert later.plans_manager.plans == content
    (log,) = (saved.parent / "fold_0").glob("training_log_*.txt")
    assert "This fold gets the network of the folds in" in log.read_text()
    assert "shortcut False there and True here" in log.read_text()


class OwnDilations(EASUNetTrainer):
    @classmethod
    def prepare_plans(cls, plans, configuration, trained=None):
        prepared = super().prepare_plans(plans, configuration, trained)
        architecture(prepared)["arch_kwargs"]["dilations"] = [[1, 1]]
        return prepared


def test_what_a_subclass_changes_is_not_laid_to_other_folds(new_trainer, tmp_path):
    trainer = new_trainer(OwnDilations)
    model = tmp_path / "results" / trainer.plans_manager.dataset_name / "OwnDilations__nnUNetPlans__2d"
    (model / "plans.json").write_text(json.dumps(trainer.plans_manager.plans))
    new_trainer(OwnDilations)
    logs = [path.read_text() for path in (model / "fold_0").glob("training_log_*.txt")]
    assert logs
    assert "This fold gets the network" not in "".join(logs)


class TestForeignCheckpoint:
    @pytest.fixture
    def trainer(self, new_trainer):
        trainer = new_trainer()
        trainer.initialize()
        return trainer

    def load(self, trainer, source, path):
        """Lets one trainer load the checkpoint of another, and checks that a refusal changes no weight."""
        source.initialize()
        source.save_checkpoint(str(path))
        before = {key: value.clone() for key, value in trainer.network.state_dict().items()}
        try:
            trainer.load_checkpoint(str(path))
        finally:
            after = trainer.network.state_dict()
            assert all(torch.equal(after[key], value) for key, value in before.items())

    def test_of_another_network(self, trainer, new_trainer, tmp_path):
        with pytest.raises(RuntimeError, match=r"must hold the network of .*PlainConvUNet there and .*EASUNet here"):
            self.load(trainer, new_trainer(nnUNetTrainer), tmp_path / "checkpoint.pth")

    def test_that_fits_by_shape_alone(self, trainer, new_trainer, tmp_path):
        plans = copy.deepcopy(trainer.plans_manager.plans)
        architecture(plans)["arch_kwargs"]["dilations"][0] = [1, 1]
        with pytest.raises(RuntimeError, match=r"dilations \[\[1, 1\].* there and "):
            self.load(trainer, new_trainer(plans=plans), tmp_path / "checkpoint.pth")

    def test_of_another_number_of_classes(self, trainer, new_trainer, tmp_path):
        described = {**trainer.dataset_json, "labels": {**trainer.dataset_json["labels"], "one more": 3}}
        with pytest.raises(RuntimeError, match=r"is \(4, .* there and \(3, .* here \(another number of classes\)"):
            self.load(trainer, new_trainer(dataset_json=described), tmp_path / "checkpoint.pth")

    def test_own_checkpoint_is_loaded(self, trainer, tmp_path):
        trainer.current_epoch = 4
        trainer.save_checkpoint(str(tmp_path / "checkpoint.pth"))
        trainer.current_epoch = 0
        trainer.load_checkpoint(str(tmp_path / "checkpoint.pth"))
        assert trainer.current_epoch == 5


class TestBadSurroundings:
    @pytest.mark.parametrize("variable", ["nnUNet_preprocessed", "nnUNet_results"])
    def test_folder_variable_not_set(self, new_trainer, monkeypatch, variable):
        monkeypatch.delenv(variable)
        with pytest.raises(RuntimeError, match=rf"{variable} must be set to a folder.*nnunet-eas doctor"):
            new_trainer()

    @pytest.mark.parametrize("labels", [None, {}, {"background": 0}, {"background": 0, "ignore": 1}])
    def test_dataset_without_labels(self, new_trainer, blobs, labels):
        described = json.loads((blobs.preprocessed / "dataset.json").read_text(encoding="utf-8"))
        del described["labels"]
        if labels is not None:
            described["labels"] = labels
        with pytest.raises(ValueError, match=r"labels in dataset\.json must name the background and at least one"):
            new_trainer(dataset_json=described)

    @pytest.mark.skipif(torch.cuda.is_available(), reason="has a CUDA device")
    def test_cuda_where_there_is_none(self, new_trainer):
        with pytest.raises(RuntimeError, match=r"got cuda without a usable GPU.*-device cpu"):
            new_trainer(device="cuda")


def test_commands_end_with_the_message(blobs):
    """The last line on the terminal is the error. Only the start-up file makes nnU-Net find EASUNetTrainer here."""
    plans = json.loads(blobs.plans)
    plans["plans_name"] = "OddPlans"
    plans["configurations"]["2d"]["patch_size"] = [24, 30]
    (blobs.preprocessed / "OddPlans.json").write_text(json.dumps(plans), encoding="utf-8")
    command = ("nnUNetv2_train", blobs.id, "2d", 0, "-tr", "EASUNetTrainer", "-device")
    odd_plan, no_gpu = blobs.host.run_together(
        (*command, "cpu", "-p", "OddPlans"), (*command, "cuda"), check=False, CUDA_VISIBLE_DEVICES=""
    )
    for completed, beginning in (
        (odd_plan, "ValueError: Configuration 2d of OddPlans: patch_size must be divisible by [4, 4]"),
        (no_gpu, "RuntimeError: device must be one that this machine has, got cuda"),
    ):
        assert completed.returncode != 0
        assert completed.stderr.rstrip().splitlines()[-1].startswith(beginning)
    assert not list((blobs.host.results / blobs.name).glob("EASUNetTrainer__*"))


@pytest.mark.parametrize(
    ("configuration", "transpose", "axes"),
    [
        ("2d", [2, 0, 1], (0, 1)),  # sagittal slices: left-right is across them
        ("2d", [0, 1, 2], (0,)),
        ("3d_fullres", [2, 0, 1], (1, 2)),
        ("3d_fullres", [0, 1, 2], (0, 1)),
        ("3d_fullres", [1, 2, 0], (0, 2)),
    ],
)
def test_left_and_right_are_not_mirrored(new_trainer, plans, configuration, transpose, axes):
    plans["transpose_forward"] = transpose
    trainer = new_trainer(EASUNetTrainer_noMirrorLR, configuration, plans=plans)
    *_, mirrored = trainer.configure_rotation_dummyDA_mirroring_and_inital_patch_size()
    assert mirrored == trainer.inference_allowed_mirroring_axes == axes


def test_autocast_uses_bf16_and_no_scaler_scales_the_loss(new_trainer):
    before = torch.get_autocast_dtype("cuda")
    try:
        trainer = new_trainer(EASUNetTrainer_bf16)
        assert trainer.grad_scaler is None
        trainer.initialize()
        with torch.autocast("cuda", enabled=True):
            assert torch.get_autocast_dtype("cuda") == torch.bfloat16
    finally:
        torch.set_autocast_dtype("cuda", before)
