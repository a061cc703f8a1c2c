"""Prediction with the best models: which are predicted in which order, and what becomes of faults."""

import json
import pickle
import shutil

import numpy as np
import pytest
import SimpleITK as sitk

from nnunet_eas.cli.main import main
from nnunet_eas.crossval import predict_best as module
from nnunet_eas.crossval.best import Best
from nnunet_eas.crossval.dataset import Dataset
from nnunet_eas.crossval.fold import Model
from nnunet_eas.crossval.predict_best import predict_best
from nnunet_eas.inference.predict import Prediction
from nnunet_eas.support.errors import PartialSuccess

CASES = ("a", "b")


@pytest.fixture
def best(monkeypatch, tmp_path):
    """Sets the best models; their prediction and nnU-Net's commands are played. Gives what was called."""
    called = []
    previous = {"3d_cascade_fullres": "3d_lowres"}
    faults = {}

    def predict(scans, model, output, *, previous_stage, save_probabilities, folds, say, **_):
        called.append((model.name, previous_stage and previous_stage.name, save_probabilities, folds))
        say(f"{model.name}: an engine")
        output.mkdir()
        (output / "dataset.json").write_text(json.dumps({"file_ending": ".nii.gz"}))
        bad = {name: reason for name, reason in faults.items() if model.name.endswith(reason)}
        sound = [name for name in CASES if name not in bad]
        for name in sound:
            sitk.WriteImage(sitk.Image(2, 3, 4, sitk.sitkUInt8) + len(called), str(output / f"{name}.nii.gz"))
            (output / f"{name}.npz").touch()
        if bad:
            raise PartialSuccess("scans (-i) must be sound", [Prediction(name) for name in sound], bad)

    def call(command, log):
        log.write_text("a line")
        called.append(command[0])
        folders = command[command.index("-i") + 1 : command.index("-o")]
        assert len({tuple(sorted(path.name for path in module.Path(f).glob("*.npz"))) for f in folders}) == 1
        shutil.copytree(folders[0], target := module.Path(command[command.index("-o") + 1]))
        if command[0] == "nnUNetv2_ensemble":
            for name in {"a", "b"} - {path.stem for path in target.glob("*.npz")}:
                (target / f"{name}.nii.gz").unlink()

    def postprocess(masks, target, plans_file, postprocessing):
        assert postprocessing == ([], [])
        called.append("postprocessing")
        target.mkdir()
        for mask in masks:
            shutil.copy(mask, target)

    monkeypatch.setattr(module, "predict", predict)
    monkeypatch.setattr(module, "read_postprocessing", lambda path: ([], []))
    monkeypatch.setattr(module, "_postprocess", postprocess)
    monkeypatch.setattr(module, "call", call)
    monkeypatch.setattr(module, "_previous_stage", lambda model, configuration: previous.get(configuration))
    monkeypatch.setattr(module, "find_dataset", lambda name: Dataset(name, tmp_path / "results", None))

    def models(*configurations, **bad):
        chosen = tuple(Model("T", "P", configuration) for configuration in configurations)
        found = Best(chosen, (0, 1), 0.5, tmp_path / "postprocessing.pkl", tmp_path / "plans.json")
        monkeypatch.setattr(module, "read_best", lambda results: found)
        faults.update(bad)
        return called

    return models


def test_one_model_is_predicted_and_postprocessed(best, tmp_path):
    called = best("2d")
    done = predict_best("scans", "Dataset901_Blobs", tmp_path / "masks")
    assert called == [("T__P__2d", None, False, (0, 1)), "postprocessing"]
    assert [one.file for one in done] == [tmp_path / "masks" / f"{name}.nii.gz" for name in CASES]
    assert sorted(path.name for path in (tmp_path / "masks").iterdir()) == ["a.nii.gz", "b.nii.gz", "dataset.json"]


def test_masks_in_memory_leave_nothing(best, tmp_path, monkeypatch):
    best("2d")
    monkeypatch.setattr(module.tempfile, "tempdir", str(tmp_path))
    (first, _) = predict_best("scans", "Dataset901_Blobs")
    assert (first.identifier, first.file) == ("a", None)
    assert np.unique(sitk.GetArrayFromImage(first.mask)).tolist() == [1]
    assert list(tmp_path.iterdir()) == []


def test_a_cascade_is_predicted_behind_its_first_stage(best, tmp_path):
    called = best("2d", "3d_cascade_fullres")
    predict_best("scans", "Dataset901_Blobs", tmp_path / "masks")
    assert called == [
        ("T__P__2d", None, True, (0, 1)),
        ("T__P__3d_lowres", None, True, (0, 1)),
        ("T__P__3d_cascade_fullres", "T__P__3d_lowres", True, (0, 1)),
        "nnUNetv2_ensemble",
        "postprocessing",
    ]


def test_a_scan_that_one_model_leaves_out_is_named_and_the_others_are_predicted(best, tmp_path, capsys):
    best("2d", "3d_fullres", b="3d_fullres")
    command = ["predict-best", "-d", "901", "-i", "scans", "-o", str(tmp_path / "masks"), "-device", "cpu"]
    assert main(command) == 1
    said = capsys.readouterr()
    assert said.out.splitlines() == [
        "T__P__2d: an engine",
        "T__P__3d_fullres: an engine",
        f"1 mask written to {tmp_path / 'masks'}",
    ]
    assert said.err.splitlines()[0] == "left out b: 3d_fullres"
    assert "error: scans (-i) must be sound, got faulty ones: b." in said.err
    assert "partial" not in said.out + said.err


def test_where_no_scan_is_sound_nothing_else_is_done(best, tmp_path):
    called = best("2d", a="2d", b="2d")
    with pytest.raises(PartialSuccess) as caught:
        predict_best("scans", "Dataset901_Blobs", tmp_path / "masks")
    assert (caught.value.result, list(caught.value.faults)) == ([], ["a", "b"])
    assert len(called) == 1
    assert list((tmp_path / "masks").iterdir()) == []


def test_the_log_of_a_failed_command_is_kept(best, tmp_path, monkeypatch):
    best("2d", "3d_fullres")

    def fail(command, log):
        log.write_text("why")
        raise RuntimeError(f"See {log}.")

    monkeypatch.setattr(module, "call", fail)
    with pytest.raises(RuntimeError) as caught:
        predict_best("scans", "Dataset901_Blobs", tmp_path / "masks")
    (log,) = (tmp_path / "masks").iterdir()
    assert str(caught.value) == f"See {log}."


def test_a_postprocessing_that_would_run_something(tmp_path, monkeypatch):
    class Runs:
        def __reduce__(self):
            return module.os.mkdir, (str(tmp_path / "ran"),)

    results = tmp_path / "results"
    results.mkdir()
    (results / "postprocessing.pkl").write_bytes(pickle.dumps(([Runs()], [{}])))
    found = Best((Model("T", "P", "2d"),), (0, 1), 0.5, results / "postprocessing.pkl", tmp_path / "plans.json")
    monkeypatch.setattr(module, "find_dataset", lambda name: Dataset(name, results, None))
    monkeypatch.setattr(module, "read_best", lambda folder: found)
    with pytest.raises(ValueError, match=r"nnU-Net's functions and numbers only, got .*it would load 'posix\.mkdir'"):
        predict_best("scans", "Dataset901_Blobs", tmp_path / "masks")
    assert not (tmp_path / "ran").exists()
