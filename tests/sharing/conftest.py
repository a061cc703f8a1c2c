"""Trained models, their packed files, and what refuses a hostile one."""

from __future__ import annotations

import json
import pickle
import re

import pytest
from sharing.packed_content import Packed
from sharing.tiny_results import DATASET, POSTPROCESSING, TRAINERS, write_trained

from nnunet_eas.cli.main import main
from nnunet_eas.sharing.pack import pack


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """Gives the folder of a model with folds 0 and 1, which no test changes."""
    made = {}

    def folder(which="stock", configuration="2d"):
        key = (which, configuration)
        if key not in made:
            made[key] = write_trained(tmp_path_factory.mktemp("models"), configuration, which)
        return made[key]

    return folder


@pytest.fixture(scope="session")
def packed(trained, tmp_path_factory):
    """Gives the packed file of the same models."""
    made = {}

    def file(which="stock", configuration="2d"):
        key = (which, configuration)
        if key not in made:
            made[key] = pack(trained(*key), tmp_path_factory.mktemp("packed") / "model.nnunet.zip")
        return made[key]

    return file


@pytest.fixture
def best(tmp_path, monkeypatch):
    """Writes the results of a dataset with a best configuration or ensemble, as find_best_configuration does."""
    results = tmp_path / "results"
    monkeypatch.setenv("nnUNet_results", str(results))

    def dataset(*configurations, others=(), which="stock"):
        folder = results / DATASET
        models = {name: write_trained(folder, name, which) for name in (*configurations, *others)}
        chosen = [models[name] for name in configurations]
        place = chosen[0] / "crossval_results_folds_0_1"
        if len(chosen) > 1:
            place = folder / "ensembles" / f"ensemble___{'___'.join(model.name for model in chosen)}___0_1"
        place.mkdir(parents=True)
        (place / "postprocessing.pkl").write_bytes(pickle.dumps(POSTPROCESSING))
        for name in ("plans.json", "dataset.json"):
            (place / name).write_bytes((chosen[0] / name).read_bytes())
        trainer = TRAINERS[which].__name__
        selected = [{"configuration": c, "trainer": trainer, "plans_identifier": "nnUNetPlans"} for c in configurations]
        information = {
            "folds": [0, 1],
            "best_model_or_ensemble": {
                "result_on_crossval_post_pp": 0.875,
                "postprocessing_file": str(place / "postprocessing.pkl"),
                "some_plans_file": str(place / "plans.json"),
                "selected_model_or_models": selected,
            },
        }
        (folder / "inference_information.json").write_text(json.dumps(information))
        return folder

    return dataset


@pytest.fixture
def content(packed):
    return Packed(packed())


@pytest.fixture
def refused(tmp_path, capsys):
    """Unpacks a file, as typed, and checks what it says and that it leaves nothing."""

    def check(file, message, *options):
        before = sizes_below(tmp_path.parent)
        assert main(["unpack", str(file), "-o", str(tmp_path / "target"), *options]) == 1
        error = capsys.readouterr().err
        # the bar of the folds, which a terminal clears, may be before it
        lines = [line for line in re.split(r"[\r\n]", error) if line.strip() and "folds:" not in line]
        assert len(lines) == 1, error
        assert re.search(f"^error: .*{message}", lines[0]), lines[0]
        assert str(file) in lines[0]
        assert sizes_below(tmp_path.parent) == before

    return check


def sizes_below(folder):
    return {path: path.is_file() and path.stat().st_size for path in folder.rglob("*")}
