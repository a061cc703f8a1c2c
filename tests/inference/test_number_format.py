"""A model is predicted in the number format that its trainer chose."""

import pytest
import torch
from inference.tiny_models import write_model

from nnunet_eas.inference.batched_predictor import BatchedPredictor, autocast_dtype
from nnunet_eas.inference.trained_model import load_trained_model
from nnunet_eas.trainer import EASUNetTrainer, EASUNetTrainer_bf16


@pytest.fixture(autouse=True)
def _restored():
    with autocast_dtype(torch.float16):
        yield


@pytest.mark.parametrize(("trainer", "dtype"), [(EASUNetTrainer, torch.float16), (EASUNetTrainer_bf16, torch.bfloat16)])
@pytest.mark.parametrize("before", [torch.float16, torch.bfloat16])
def test_a_model_has_its_trainers(tmp_path, trainer, dtype, before):
    folder = write_model(tmp_path, trainer=trainer)
    torch.set_autocast_dtype("cuda", before)
    assert load_trained_model(folder).autocast_dtype == dtype
    assert torch.get_autocast_dtype("cuda") == before


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_prediction_runs_in_it(dtype):
    predictor = BatchedPredictor(device=torch.device("cpu"), autocast_dtype=dtype)
    seen = []

    def sliding_window(data):
        seen.append(torch.get_autocast_dtype("cuda"))
        return data

    predictor.predict_sliding_window_return_logits = sliding_window
    predictor.forwards = [None, None]
    predictor.predict_logits_from_preprocessed_data(torch.zeros(1))
    assert seen == [dtype, dtype]
    assert torch.get_autocast_dtype("cuda") == torch.float16


def test_stock_prediction_builds_the_network_with_it(tmp_path):
    write_model(tmp_path, trainer=EASUNetTrainer_bf16)  # by build_network_architecture, as nnUNetv2_predict
    assert torch.get_autocast_dtype("cuda") == torch.bfloat16
