"""The same on a GPU, with torch.compile (nnU-Net's default there) and without."""

import json

import pytest
import torch
from tiny_dataset import agreement, read_labels

pytestmark = [
    pytest.mark.slow,
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.mark.parametrize("configuration", ["2d", "3d_fullres"])
@pytest.mark.parametrize("compiled", [0, 1])
def test_train_and_predict_on_cuda(blobs, tmp_path, configuration, compiled):
    host = blobs.host
    options = {"nnUNet_compile": compiled, "nnUNet_results": tmp_path / "results"}
    (tmp_path / "results").mkdir()
    train = [*blobs.train(configuration, 0)]
    train[train.index("cpu")] = "cuda"
    completed = host.run(*train, **options)
    assert ("Using torch.compile..." in completed.stdout) == bool(compiled)

    model = tmp_path / "results" / blobs.model(configuration).relative_to(host.results)
    assert json.loads((model / "fold_0" / "debug.json").read_text(encoding="utf-8"))["device"].startswith("cuda")
    weights = torch.load(model / "fold_0" / "checkpoint_final.pth", weights_only=False)["network_weights"]
    assert not [key for key in weights if "_orig_mod" in key]
    assert all(torch.isfinite(value).all() for value in weights.values())

    predict = [*blobs.predict(blobs.images_of_fold(0), tmp_path / "predicted", configuration, "-f", 0)]
    predict[predict.index("cpu")] = "cuda"
    host.run(*predict, **options)
    name = f"{blobs.cases[0]}.nii.gz"
    # half precision and cuDNN's choice of algorithms leave single voxels undecided
    assert agreement(tmp_path / "predicted" / name, model / "fold_0" / "validation" / name) >= 0.999
    assert read_labels(tmp_path / "predicted" / name).any()
