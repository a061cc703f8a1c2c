"""Unpacking: the folder is the one that was packed, for nnU-Net and for `predict_best`."""

import json
import shutil
import tempfile
import zipfile

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from batchgenerators.utilities.file_and_folder_operations import load_pickle
from inference.tiny_models import SPACING
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from sharing.tiny_results import DATASET, POSTPROCESSING
from tiny_dataset import SHAPE, scan

from nnunet_eas.cli.main import main
from nnunet_eas.crossval.best import read_best
from nnunet_eas.crossval.predict_best import predict_best
from nnunet_eas.inference.predict import predict
from nnunet_eas.inference.trained_model import load_trained_model
from nnunet_eas.sharing import unpack as module
from nnunet_eas.sharing.pack import pack
from nnunet_eas.sharing.unpack import unpack

KINDS = [(which, configuration) for which in ("stock", "eas") for configuration in ("2d", "3d_fullres")]


def checkpoints(folder):
    files = sorted(folder.glob("fold_*/checkpoint_final.pth"))
    return {file.parent.name: torch.load(file, weights_only=False) for file in files}


def assert_same_weights(first, second):
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert (tensor.dtype, tensor.shape) == (second[name].dtype, second[name].shape)
        assert tensor.contiguous().numpy().tobytes() == second[name].contiguous().numpy().tobytes(), name


def image(seed=0):
    made = sitk.GetImageFromArray(scan(seed=seed, shape=SHAPE)[0])
    made.SetSpacing(SPACING[::-1])
    return made


@pytest.mark.parametrize(("which", "configuration"), KINDS)
def test_weights_come_back_bit_for_bit(trained, packed, tmp_path, which, configuration):
    (folder,) = unpack(packed(which, configuration), tmp_path / "unpacked")
    original = trained(which, configuration)
    assert folder == tmp_path / "unpacked" / original.name
    before, after = checkpoints(original), checkpoints(folder)
    assert list(before) == list(after) == ["fold_0", "fold_1"]
    for fold, checkpoint in before.items():
        assert_same_weights(checkpoint["network_weights"], after[fold]["network_weights"])
        for name in ("trainer_name", "inference_allowed_mirroring_axes"):
            assert checkpoint[name] == after[fold][name]
    for name in ("plans.json", "dataset_fingerprint.json"):
        assert json.loads((folder / name).read_text()) == json.loads((original / name).read_text())
    assert list(tmp_path.iterdir()) == [tmp_path / "unpacked"]


def test_kinds_of_tensors(trained, tmp_path):
    """Other number formats, views of one memory, channels-last, empty and scalar tensors."""
    model = shutil.copytree(trained(), tmp_path / "model")
    memory = torch.randn(24)
    weights = {
        "whole": memory,
        "again": memory,
        "first": memory[:12],
        "other": memory[6:18].view(3, 4),
        "transposed": memory[:12].view(3, 4).t(),
        "last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        "bfloat16": torch.randn(3, 4).bfloat16(),
        "half": torch.tensor([float("nan"), float("-inf")]).half(),
        "count": torch.tensor(7),
        "mask": torch.tensor([True, False]),
        "empty": torch.zeros(0, 3),
        "empty too": torch.zeros(0, 3),
        "parameter": torch.nn.Parameter(torch.randn(2).double()),
    }
    for file in model.glob("fold_*/*.pth"):
        torch.save({**torch.load(file, weights_only=False), "network_weights": weights}, file)
    (folder,) = unpack(pack(model, tmp_path / "a.nnunet.zip"), tmp_path / "unpacked")
    for checkpoint in checkpoints(folder).values():
        found = checkpoint["network_weights"]
        assert found.keys() == weights.keys()
        for name, tensor in weights.items():
            assert (found[name].dtype, found[name].shape) == (tensor.dtype, tensor.shape)
            torch.testing.assert_close(found[name], tensor.detach(), rtol=0, atol=0, equal_nan=True)
        assert found["whole"].data_ptr() == found["again"].data_ptr()


def test_files_above_4_gb(trained, tmp_path, monkeypatch):
    """Their numbers are elsewhere in the archive; here above 1000 bytes."""
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 1000)
    file = pack(trained(), tmp_path / "large.nnunet.zip")
    assert b"PK\6\6" in file.read_bytes()[-100:]
    (folder,) = unpack(file, tmp_path / "unpacked")
    for fold, checkpoint in checkpoints(trained()).items():
        assert_same_weights(checkpoint["network_weights"], checkpoints(folder)[fold]["network_weights"])


@pytest.mark.parametrize(("which", "configuration"), KINDS)
def test_nnunets_predictor_gives_the_same_logits(trained, packed, tmp_path, which, configuration):
    (folder,) = unpack(packed(which, configuration), tmp_path / "unpacked")
    logits = []
    for model in (trained(which, configuration), folder):
        predictor = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False)
        predictor.initialize_from_trained_model_folder(str(model), None)
        data = torch.from_numpy(scan(seed=1, shape=(30, 14, 22))[0])[None] / 1000
        logits.append(predictor.predict_logits_from_preprocessed_data(data))
    assert logits[0].shape == (3, 30, 14, 22)
    assert logits[0].std() > 0
    assert torch.equal(*logits)


def test_the_packed_file_is_a_model(trained, packed, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    loaded, original = load_trained_model(packed("eas")), load_trained_model(trained("eas"))
    assert (loaded.name, loaded.folds, loaded.mirroring_axes) == (original.name, (0, 1), (0, 1))
    for one, other in zip(loaded.networks, original.networks, strict=True):
        assert_same_weights(one.state_dict(), other.state_dict())
    assert load_trained_model(packed("eas"), [1]).folds == (1,)
    masks = [predict(image(), model, engine="torch", device="cpu")[0].mask for model in (packed("eas"), original)]
    assert np.array_equal(*map(sitk.GetArrayFromImage, masks))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([2],), r"folds \(-f\) must be folds of the packed file, got 2\. .* has 0 1\."),
        ((None, "checkpoint_best.pth"), r"checkpoint \(-chk\) must be checkpoint_final\.pth for a packed file"),
    ],
)
def test_what_a_packed_model_does_not_have(packed, arguments, message):
    with pytest.raises(ValueError, match=message):
        load_trained_model(packed(), *arguments)


def test_an_ensemble_is_no_model(best, tmp_path):
    best("2d", "3d_fullres")
    file = pack(None, tmp_path / "best.nnunet.zip", dataset=DATASET)
    with pytest.raises(ValueError, match=r"with one model, got 2 in .*unpack, and .* predict-best"):
        load_trained_model(file)


def test_another_file_is_no_model(trained, tmp_path):
    (tmp_path / "text").write_text("weights")
    with pytest.raises(ValueError, match="must be a whole ZIP archive, got no end of an archive in"):
        load_trained_model(tmp_path / "text")
    with pytest.raises(ValueError, match=r"packed file must hold .* in .*checkpoint_final\.pth"):
        load_trained_model(trained() / "fold_0" / "checkpoint_final.pth")


@pytest.mark.parametrize("configurations", [("2d",), ("2d", "3d_fullres"), ("3d_cascade_fullres",)])
def test_the_best_is_found_where_the_folder_lies(best, tmp_path, monkeypatch, capsys, configurations):
    folder = best(*configurations, others=("3d_lowres",))
    file = tmp_path / "best.nnunet.zip"
    assert main(["pack", "-d", DATASET, "-o", str(file)]) == 0
    unpacked = tmp_path / "others" / "Dataset907_Shared"
    monkeypatch.setenv("nnUNet_results", str(unpacked.parent))
    assert main(["unpack", str(file), "-o", str(unpacked)]) == 0
    monkeypatch.chdir(folder)  # its files have the same names, and are not taken

    before, after = read_best(folder), read_best(unpacked)
    assert (after.models, after.folds, after.dice) == (before.models, before.folds, before.dice)
    for one, other in ((before.postprocessing, after.postprocessing), (before.plans_file, after.plans_file)):
        assert other == unpacked / one.relative_to(folder), "where nnU-Net has it"
    assert load_pickle(str(after.postprocessing)) == POSTPROCESSING
    models = {path.name for path in unpacked.glob("*__*__*")}
    wanted = {model.name for model in after.models}
    assert models == wanted | ({"nnUNetTrainer__nnUNetPlans__3d_lowres"} if "cascade" in configurations[0] else set())
    assert f"written: {unpacked / after.models[0].name}" in capsys.readouterr().out


@pytest.mark.slow
def test_predict_best_with_the_unpacked_folder(best, tmp_path, monkeypatch):
    best("2d", "3d_fullres")
    original = predict_best(image(), DATASET, device="cpu", engine="torch")
    file = pack(None, tmp_path / "best.nnunet.zip", dataset=DATASET)
    monkeypatch.setenv("nnUNet_results", str(tmp_path / "others"))
    unpack(file, tmp_path / "others" / "Dataset907_Shared")
    shutil.rmtree(tmp_path / "results")
    shared = predict_best(image(), "907", device="cpu", engine="torch")
    masks = [sitk.GetArrayFromImage(one.mask) for (one,) in (original, shared)]
    assert np.array_equal(*masks)
    assert masks[0].any()


@pytest.mark.parametrize("kind", ["folder", "file", "dangling link"])
def test_an_existing_target_is_refused(packed, tmp_path, kind):
    target = tmp_path / "target"
    if kind == "folder":
        target.mkdir()
    elif kind == "file":
        target.touch()
    else:
        target.symlink_to(tmp_path / "nothing")
    with pytest.raises(FileExistsError, match=r"output \(-o\) must be a new folder, got .*target, which exists"):
        unpack(packed(), target)
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_half_a_folder_never_stays(packed, tmp_path, monkeypatch, error):
    def stop(packed, model, folder, **options):
        folder.mkdir(parents=True)
        (folder / "plans.json").touch()
        raise error

    monkeypatch.setattr(module, "write_model", stop)
    with pytest.raises(type(error)):
        unpack(packed(), tmp_path / "target")
    assert list(tmp_path.iterdir()) == []


def test_no_such_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"packed file must be a file, got .*nothing\.nnunet\.zip"):
        unpack(tmp_path / "nothing.nnunet.zip", tmp_path / "target")
    assert list(tmp_path.iterdir()) == []
