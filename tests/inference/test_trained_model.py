"""Loading a trained model's folder, and what is said where it is none."""

import json
import os
import shutil

import pytest
import torch
from inference.tiny_models import write_model
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

from nnunet_eas.inference.trained_model import load_trained_model
from nnunet_eas.trainer import EASUNetTrainer

CHECKPOINT = "checkpoint_final.pth"


@pytest.fixture
def copied(trained, tmp_path):
    """A model's folder that a test may damage."""
    return shutil.copytree(trained("eas"), tmp_path / "model")


def rewrite(file, change):
    """Load a checkpoint or JSON file, change its content in place, write it back."""
    if file.suffix == ".json":
        content = json.loads(file.read_text())
        change(content)
        file.write_text(json.dumps(content))
    else:
        content = torch.load(file, weights_only=False)
        change(content)
        torch.save(content, file)


@pytest.mark.parametrize("which", ["eas", "paper", "stock"])
@pytest.mark.parametrize("configuration", ["2d", "3d_fullres", "3d_cascade_fullres"])
def test_networks_are_those_of_nnunets_predictor(trained, which, configuration):
    folder = trained(which, configuration)
    model = load_trained_model(folder)
    assert model.name == folder.name
    assert model.folds == (0, 1)
    assert model.mirroring_axes == (0, 1)
    assert model.input_channels == (3 if "cascade" in configuration else 1)

    image = torch.randn(2, model.input_channels, *model.patch_size)
    predictor = nnUNetPredictor(device=torch.device("cpu"))
    predictor.initialize_from_trained_model_folder(str(folder), (0, 1))
    outputs = []
    for network, weights in zip(model.networks, predictor.list_of_parameters, strict=True):
        assert not any(module.training for module in network.modules())
        predictor.network.load_state_dict(weights)
        with torch.inference_mode():
            outputs.append(network(image))
            torch.testing.assert_close(outputs[-1], predictor.network.eval()(image))
    assert (outputs[0] - outputs[1]).abs().max() > 0.1, "each fold has weights of its own"


@pytest.mark.parametrize(
    ("there", "asked", "loaded"),
    [
        ((2, 0, "all"), None, (0, 2)),
        (("all",), None, ("all",)),
        ((0, 1, "all"), ["all"], ("all",)),
        ((0, 1, 2), [2, 0, 2], (2, 0)),
    ],
)
def test_folds(tmp_path, there, asked, loaded):
    folder = write_model(tmp_path, folds=there)
    (folder / "fold_4").mkdir()  # still in training
    model = load_trained_model(folder, asked)
    assert model.folds == loaded
    assert len(model.networks) == len(loaded)


@pytest.mark.slow
def test_networks_are_not_compiled(copied, monkeypatch):
    monkeypatch.setenv("nnUNet_compile", "1")
    assert [type(network).__name__ for network in load_trained_model(copied).networks] == ["EASUNet"] * 2


def test_another_checkpoint(copied):
    (copied / "fold_1" / CHECKPOINT).rename(copied / "fold_1" / "checkpoint_best.pth")
    assert load_trained_model(copied, checkpoint_name="checkpoint_best.pth").folds == (1,)


def remove_folder(folder):
    shutil.rmtree(folder)


def remove_plans(folder):
    (folder / "plans.json").unlink()


def cut_dataset(folder):
    (folder / "dataset.json").write_text('{"labels": {')


def remove_checkpoints(folder):
    for file in folder.glob("fold_*/*"):
        file.unlink()


def cut_checkpoint(folder):
    file = folder / "fold_1" / CHECKPOINT
    file.write_bytes(file.read_bytes()[:-1000])


def empty_checkpoint(folder):
    (folder / "fold_0" / CHECKPOINT).write_bytes(b"")


def text_checkpoint(folder):
    (folder / "fold_0" / CHECKPOINT).write_text("weights")


def foreign_checkpoint(folder):
    torch.save({"state_dict": {}, "epoch": 3}, folder / "fold_1" / CHECKPOINT)


def foreign_tensor(folder):
    torch.save(torch.zeros(3), folder / "fold_0" / CHECKPOINT)


class Runs:
    """Makes a folder where it is unpickled."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.makedirs, (str(self.folder / "ran"), 0o777, True)


def running_checkpoint(folder):
    rewrite(folder / "fold_1" / CHECKPOINT, lambda content: content.update(logging=Runs(folder)))


def other_trainer_in_one_fold(folder):
    rewrite(folder / "fold_1" / CHECKPOINT, lambda content: content.update(trainer_name="nnUNetTrainer"))


def unknown_trainer(folder):
    for file in folder.glob("fold_*/*.pth"):
        rewrite(file, lambda content: content.update(trainer_name="TrainerOfSomeoneElse"))


def other_rates(folder):
    """The weights of a network with other rates fit."""

    def change(plans):
        plans["configurations"]["2d"]["architecture"]["arch_kwargs"]["dilations"] = [[1, 1]]

    rewrite(folder / "plans.json", change)


def other_configurations(folder):
    rewrite(folder / "plans.json", lambda plans: plans["configurations"].pop("2d"))


def other_labels(folder):
    rewrite(folder / "dataset.json", lambda content: content["labels"].update(third=3))


@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        (
            remove_folder,
            FileNotFoundError,
            r"model \(MODEL, -m\) must be .* got .*model, which has no dataset\.json\. Correct",
        ),
        (remove_plans, FileNotFoundError, r"which has no plans\.json"),
        (cut_dataset, ValueError, r"dataset\.json must be whole JSON"),
        (remove_checkpoints, FileNotFoundError, r"must have a fold with checkpoint_final\.pth"),
        (cut_checkpoint, ValueError, r"The checkpoint must be whole, got .*fold_1"),
        (empty_checkpoint, ValueError, r"The checkpoint must be whole, got .*fold_0"),
        (text_checkpoint, ValueError, r"The checkpoint must be whole, got .*fold_0"),
        (foreign_checkpoint, ValueError, r"fold_1.*which has no network_weights, init_args, trainer_name"),
        (foreign_tensor, ValueError, r"must hold a dictionary, got Tensor in .*fold_0"),
        (running_checkpoint, ValueError, r"fold_1.*which would also load os\.makedirs\. Loading may run"),
        (other_trainer_in_one_fold, ValueError, r"of one training, got nnUNetTrainer 2d in .*fold_1"),
        (unknown_trainer, RuntimeError, r"trainer must be one that nnU-Net finds, got TrainerOfSomeoneElse"),
        (other_rates, RuntimeError, r"network of plans\.json .*dilations"),
        (other_configurations, RuntimeError, r"must have the configuration .* and not 2d"),
        (other_labels, RuntimeError, r"network of plans\.json .*got another one \(.*state_dict"),
    ],
)
def test_what_cannot_be_loaded_is_named(copied, damage, error, message):
    damage(copied)
    with pytest.raises(error, match=message):
        load_trained_model(copied)
    assert not (copied / "ran").exists()


def test_what_is_trusted_may_run(copied):
    running_checkpoint(copied)
    assert load_trained_model(copied, [1], trust=True).folds == (1,)
    assert (copied / "ran").is_dir()


def test_missing_fold(copied):
    with pytest.raises(FileNotFoundError, match=r"folds \(-f\) must be folds .* got 3 all\. .* has 0 1\."):
        load_trained_model(copied, [0, 3, "all"])


def test_nothing_is_printed(copied, capfd):
    load_trained_model(copied)
    assert capfd.readouterr() == ("", "")


def test_trainers_name_counts_and_not_the_folders(tmp_path):
    folder = write_model(tmp_path, trainer=EASUNetTrainer)
    renamed = folder.rename(tmp_path / "handed on")
    assert load_trained_model(renamed).name == "EASUNetTrainer__nnUNetPlans__2d"
