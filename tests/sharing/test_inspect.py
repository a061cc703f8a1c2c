"""What is told of files without running them."""

import json
import os
import pickle
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from nnunet_eas import inspect
from nnunet_eas.cli.main import main


class Runs:
    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.makedirs, (str(self.folder / "ran"), 0o777, True)


@pytest.fixture
def model(trained, tmp_path):
    return shutil.copytree(trained("eas"), tmp_path / "model")


def of(found, name):
    (one,) = [one for one in found if one.name == name]
    return one


def test_a_models_folder(model):
    found = inspect(model)
    assert not any(one.dangers for one in found)
    one = of(found, "fold_1/checkpoint_final.pth")
    assert one.kind == "checkpoint"
    assert one.facts[0].startswith("trainer EASUNetTrainer, configuration 2d, fold 1")
    assert of(found, "plans.json").facts[0].startswith("plans nnUNetPlans of Dataset")


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("checkpoint_final.pth", lambda file, runs: torch.save({"network_weights": {}, "logging": runs}, file)),
        ("postprocessing.pkl", lambda file, runs: file.write_bytes(pickle.dumps(([runs], [{}])))),
        ("case.pkl", lambda file, runs: file.write_bytes(pickle.dumps({"spacing": runs}))),
        ("case.npz", lambda file, runs: np.savez(file, data=np.array([runs], dtype=object))),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_what_would_run_is_named_and_does_not_run(tmp_path, capsys, name, write, packed):
    file = tmp_path / name
    write(file, Runs(tmp_path))
    if packed:
        with zipfile.ZipFile(tmp_path / "model.zip", "w") as archive:
            archive.write(file, f"Dataset901_Blobs/{name}")
        file = tmp_path / "model.zip"
    (one,) = inspect(file)
    assert one.dangers
    assert main(["inspect", str(file)]) == 1
    assert "DANGER" in capsys.readouterr().out
    assert not (tmp_path / "ran").exists()


def test_plans_and_archives_in_an_archive(tmp_path):
    plans = json.loads((Path(__file__).parents[1] / "plans" / "plans_of_format_1.json").read_text(encoding="utf-8"))
    plans["configurations"]["2d"]["architecture"]["network_class_name"] = "os.system"
    with zipfile.ZipFile(tmp_path / "model.zip", "w") as archive:
        archive.writestr("Dataset901_Blobs/plans.json", json.dumps(plans))
        archive.writestr("inner.zip", b"PK")
    (one,) = inspect(tmp_path / "model.zip")
    assert "'os.system'" in one.dangers[0]
    assert one.dangers[1] == "'inner.zip' is another archive: unpack this one, and inspect that"


def test_a_zip_bomb_is_not_unpacked(tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/checkpoint_final.pth", bytes(10**8))
    (one,) = inspect(tmp_path / "bomb.zip")
    assert one.dangers == ["unpacks to more than 20 times its size"]


def test_names_that_lead_elsewhere(tmp_path):
    with zipfile.ZipFile(tmp_path / "slip.zip", "w") as archive:
        archive.writestr("../../x.pkl", pickle.dumps(1))
    (one,) = inspect(tmp_path / "slip.zip")
    assert "leads upwards" in one.dangers[0]
    assert not (tmp_path.parent / "x.pkl").exists()


@pytest.mark.parametrize(
    "name", ["a.pth", "a.pkl", "postprocessing.pkl", "a.npz", "plans.json", "dataset.json", "a.zip"]
)
@pytest.mark.parametrize("content", [b"", b"hello", bytes(range(256))])
def test_damaged_files(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    (one,) = inspect(tmp_path)
    assert one.dangers
    assert "\n" not in one.dangers[0]


def test_links_to_folders_are_not_followed(model):
    (model / "again").symlink_to(model)
    assert not any("again" in one.name for one in inspect(model))


def test_nothing_to_inspect(tmp_path):
    for path in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(FileNotFoundError, match=r"path \(FILE\) must"):
            inspect(path)


def test_the_command(model, capsys):
    assert main(["inspect", str(model)]) == 0
    assert "fold_0/checkpoint_final.pth: checkpoint, " in capsys.readouterr().out
