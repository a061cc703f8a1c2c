import json
import shutil
from pathlib import Path

import pytest
from reporting.model_folders import EAS, LABELS, STOCK, write_model

from nnunet_eas.reporting.model import read_models


def test_a_model(models):
    (model,) = read_models(models[:1], None)
    assert (model.name, model.trainer, model.plans_name, model.configuration) == (
        "EASUNetTrainer",
        *EAS.split("__"),
    )
    assert [fold.name for fold in model.folds] == ["fold_0", "fold_1"]
    assert list(model.structures.values) == ["both", "box", "corner"]


@pytest.mark.parametrize(
    ("folders", "expected"),
    [
        ([EAS, STOCK], ["EASUNetTrainer", "nnUNetTrainer"]),
        ([EAS, EAS.replace("2d", "base")], ["2d", "base"]),
        ([EAS, STOCK.replace("2d", "base")], ["EASUNetTrainer 2d", "nnUNetTrainer base"]),
        ([EAS, f"again/{EAS}", f"again/{STOCK}"], ["EASUNetTrainer", "EASUNetTrainer (2)", "nnUNetTrainer"]),
        ([EAS, f"again/{EAS}"], ["EASUNetTrainer", "EASUNetTrainer (2)"]),
    ],
)
def test_names_are_what_the_folders_differ_in(tmp_path, folders, expected):
    for folder in folders:
        write_model(tmp_path / folder, (0, 0, 0, 0))
    assert [model.name for model in read_models([tmp_path / folder for folder in folders], None)] == expected


def test_given_names(models):
    assert [model.name for model in read_models(models, ["first \n one", "<b>"])] == ["first one", "<b>"]
    for names, message in (
        (["one"], r"names must be one for each model \(2\), got 1. Give 2 names."),
        (["one", "one"], "names must differ and not be empty, got 'one', 'one'. "),
        (["one", " "], "names must differ and not be empty, got 'one', ''. "),
    ):
        with pytest.raises(ValueError, match=message):
            read_models(models, names)


@pytest.mark.parametrize("missing", ["plans.json", "dataset.json", "fold_*"])
def test_no_model(models, missing):
    for path in models[0].glob(missing):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(FileNotFoundError, match=f"models must be a trained .* without {missing.replace('*', '.')}"):
        read_models(models, None)


def test_no_folder():
    with pytest.raises(
        FileNotFoundError, match=r"models must be .*, got nowhere, which is no folder. Correct the path"
    ):
        read_models([Path("nowhere")], None)


@pytest.mark.parametrize("content", ["[]", "{}", '{"configurations": []}'])
def test_plans_that_are_none(models, content):
    (models[0] / "plans.json").write_text(content)
    with pytest.raises(
        ValueError, match=r"a model's plans.json must be in the format of nnU-Net v2, got .*plans.json. "
    ):
        read_models(models, None)


def test_plans_that_are_no_json(models):
    (models[0] / "plans.json").write_text("{")
    with pytest.raises(ValueError, match=r"a model's plans.json must be whole JSON, got .*plans.json"):
        read_models(models, None)


def test_a_dataset_json_that_is_none(models):
    (models[0] / "dataset.json").write_text('{"labels": {"0": "background"}}')
    with pytest.raises(
        ValueError, match=r"a model's dataset.json must be nnU-Net v2's dataset.json with labels as name: number, got "
    ):
        read_models(models, None)


@pytest.mark.parametrize("name", ["model", "EASUNetTrainer__nnUNetPlans__3d_lowres"])
def test_a_folder_of_another_name(models, name):
    models[0].rename(models[0].parent / name)
    with pytest.raises(ValueError, match=r"with a configuration of its plans.json, got .* It has 2d, base; give the "):
        read_models([models[0].parent / name], None)


def test_models_that_do_not_belong_together(models):
    with pytest.raises(ValueError, match=r"models must be given once each, got .* twice. Leave one out."):
        read_models([models[0], models[0].parent / "." / models[0].name], None)
    dataset = json.loads((models[1] / "dataset.json").read_text())
    (models[1] / "dataset.json").write_text(json.dumps({**dataset, "labels": {**LABELS, "corner": 3}}))
    with pytest.raises(ValueError, match=r"all models must have the same labels in dataset.json, got .*'corner': 2"):
        read_models(models, None)
    plans = json.loads((models[1] / "plans.json").read_text())
    (models[1] / "plans.json").write_text(json.dumps({**plans, "dataset_name": "Dataset002_Other"}))
    with pytest.raises(
        ValueError, match=r"all models must be of one dataset, got Dataset001_Boxes .* and Dataset002_O"
    ):
        read_models(models, None)
