"""Datasets by name or id."""

import pytest

from nnunet_eas.cli.main import main
from nnunet_eas.support.datasets import dataset_name


@pytest.fixture
def folders(tmp_path, monkeypatch):
    for name in ("raw", "preprocessed", "results"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(f"nnUNet_{name}", str(tmp_path / name))
    (tmp_path / "raw" / "Dataset003_Knee").mkdir()
    (tmp_path / "results" / "Dataset003_Knee").mkdir()
    return tmp_path


def test_by_name_and_by_id(folders):
    assert dataset_name("Dataset777_Any") == "Dataset777_Any"
    assert dataset_name("3") == dataset_name("003") == dataset_name(3) == "Dataset003_Knee"


@pytest.mark.parametrize("wrong", ["777", "knee", "-3"])
def test_no_such_dataset(folders, wrong):
    with pytest.raises(ValueError, match=rf"the id of one dataset .*, got {wrong}, which none has\."):
        dataset_name(wrong)


def test_two_datasets_of_one_id(folders):
    (folders / "results" / "Dataset003_Hip").mkdir()
    with pytest.raises(ValueError, match=r"got 3, which Dataset003_Hip and Dataset003_Knee have\."):
        dataset_name("3")


@pytest.mark.parametrize(
    "command",
    [
        ["predict", "-d", "777", "-c", "2d", "-i", "scans", "-o", "masks", "-device", "cpu"],
        ["predict-best", "-d", "777", "-i", "scans", "-o", "masks", "-device", "cpu"],
        ["crossval", "-d", "777", "-c", "2d", "-device", "cpu"],
        ["status", "-d", "777"],
    ],
    ids=lambda command: command[0],
)
def test_commands_say_it_in_one_line(folders, capsys, command):
    assert main(command) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: dataset (-d) must be the name DatasetXXX_NAME or the id of one dataset in ")
    assert said.err.count("\n") == 1
