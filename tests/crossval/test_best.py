"""What nnU-Net's find_best_configuration wrote."""

import json
import time

import pytest

from nnunet_eas.crossval import best
from nnunet_eas.crossval.best import FILE, Model, find_best, read_best
from nnunet_eas.crossval.fold import Fold


@pytest.fixture
def dataset(tmp_path):
    """A dataset's results, found best in another place and moved here since."""
    folder = tmp_path / "here" / "Dataset901_Blobs"
    model = folder / "T__P__2d"
    model.mkdir(parents=True)
    for name in ("postprocessing.pkl", "plans.json"):
        (model / name).touch()
    there = f"/there/results/{folder.name}/{model.name}"
    content = {
        "folds": [0, 1],
        "best_model_or_ensemble": {
            "result_on_crossval_post_pp": 0.75,
            "postprocessing_file": f"{there}/postprocessing.pkl",
            "some_plans_file": f"{there}/plans.json",
            "selected_model_or_models": [
                {"configuration": "2d", "trainer": "T", "plans_identifier": "P"},
                {"configuration": "3d_fullres", "trainer": "T", "plans_identifier": "P"},
            ],
        },
    }
    (folder / FILE).write_text(json.dumps(content))
    return folder


def test_it_is_read_where_it_lies_now(dataset):
    found = read_best(dataset)
    assert found.models == (Model("T", "P", "2d"), Model("T", "P", "3d_fullres"))
    assert (found.folds, found.dice) == ((0, 1), 0.75)
    assert found.postprocessing == dataset / "T__P__2d" / "postprocessing.pkl"
    assert found.plans_file == dataset / "T__P__2d" / "plans.json"


def test_what_is_missing_is_named(dataset):
    (dataset / "T__P__2d" / "plans.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"plans\.json\. Run crossval again"):
        read_best(dataset)
    (dataset / FILE).unlink()
    with pytest.raises(FileNotFoundError, match="Run nnunet-eas crossval"):
        read_best(dataset)


@pytest.fixture
def folds(dataset):
    made = [Fold(dataset.name, c, "T", "P", k, dataset.parent) for c in ("2d", "3d_fullres") for k in (0, 1)]
    for fold in made:
        (fold.folder / "validation").mkdir(parents=True)
        (fold.folder / "validation" / "summary.json").touch()
    return made


@pytest.fixture
def commands(monkeypatch, dataset):
    """What was called; each call writes the choice anew."""
    called = []

    def call(command, log):
        called.append(command)
        content = json.loads((dataset / FILE).read_text())
        models = [{"trainer": "T", "plans": "P", "configuration": c} for c in ("2d", "3d_fullres")]
        time.sleep(0.02)
        (dataset / FILE).write_text(json.dumps({**content, "considered_models": models}))

    monkeypatch.setattr(best, "call", call)
    return called


def test_the_best_is_found_once_for_the_same_folds(folds, commands):
    assert find_best(folds).dice == find_best(folds).dice == 0.75
    assert len(commands) == 1
    assert commands[0][-7:] == ["-tr", "T", "-p", "P", "-f", "0", "1"]
    time.sleep(0.02)
    (folds[3].folder / "validation" / "summary.json").touch()  # trained anew
    find_best(folds)
    assert len(commands) == 2
    find_best(folds[1:2])  # fewer folds, another question
    assert commands[2][-4:] == ["P", "-f", "1", "--disable_ensembling"]
