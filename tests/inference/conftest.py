"""Trained models that several tests look at and none changes."""

from __future__ import annotations

from functools import wraps
from pathlib import Path

import onnx
import pytest
from inference.tiny_models import write_model
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from nnunet_eas.inference import onnx_graph
from nnunet_eas.inference.trained_model import TrainedModel, load_trained_model
from nnunet_eas.trainer import EASUNetTrainer, EASUNetTrainer_paper

TRAINERS = {"eas": EASUNetTrainer, "paper": EASUNetTrainer_paper, "stock": nnUNetTrainer}


@pytest.fixture(scope="session", autouse=True)
def converted_once():
    """PyTorch's exporter takes seconds for a tiny network; the same one is asked for again and again."""
    made: dict[str, bytes] = {}
    convert = onnx_graph.convert

    @wraps(convert)
    def converted(network, shape):
        tensors = [(name, tensor.cpu().numpy().tobytes()) for name, tensor in network.state_dict().items()]
        key = repr((network, tensors, tuple(shape)))
        if key not in made:
            made[key] = convert(network, shape).SerializeToString()
        return onnx.ModelProto.FromString(made[key])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onnx_graph, "convert", converted)
        yield


@pytest.fixture
def converted_every_time(monkeypatch):
    """Takes `converted_once` back."""
    monkeypatch.setattr(onnx_graph, "convert", onnx_graph.convert.__wrapped__)


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """Gives the folder of a model of one of `TRAINERS` in a configuration, with folds 0 and 1."""
    made: dict[tuple[str, str], Path] = {}

    def folder(which: str, configuration: str = "2d") -> Path:
        key = (which, configuration)
        if key not in made:
            parent = tmp_path_factory.mktemp("models")
            made[key] = write_model(parent, configuration, trainer=TRAINERS[which], folds=(0, 1))
        return made[key]

    return folder


@pytest.fixture(scope="session")
def loaded(trained):
    """Gives the same models, loaded."""
    made: dict[tuple[str, str], TrainedModel] = {}

    def model(which: str, configuration: str = "2d") -> TrainedModel:
        key = (which, configuration)
        if key not in made:
            made[key] = load_trained_model(trained(*key))
        return made[key]

    return model
