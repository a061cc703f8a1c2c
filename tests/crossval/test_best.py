"""What nnU-Net's find_best_configuration wrote."""

import json

import pytest

from nnunet_eas.crossval.best import FILE, Model, find_best_command, read_best


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
    best = read_best(dataset)
    assert best.models == (Model("T", "P", "2d"), Model("T", "P", "3d_fullres"))
    assert (best.folds, best.dice) == ((0, 1), 0.75)
    assert best.postprocessing == dataset / "T__P__2d" / "postprocessing.pkl"
    assert best.plans_file == dataset / "T__P__2d" / "plans.json"


def test_what_is_missing_is_named(dataset):
    (dataset / "T__P__2d" / "plans.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"plans\.json\. Run crossval again"):
        read_best(dataset)
    (dataset / FILE).unlink()
    with pytest.raises(FileNotFoundError, match="Run nnunet-eas crossval"):
        read_best(dataset)


def test_one_configuration_alone_makes_no_ensembles():
    command = find_best_command("Dataset901_Blobs", ["2d"], "T", "P", [0, 1])
    assert command[-4:] == ["-f", "0", "1", "--disable_ensembling"]
    assert "--disable_ensembling" not in find_best_command("Dataset901_Blobs", ["2d", "3d_fullres"], "T", "P", [0])
