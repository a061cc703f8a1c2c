"""The table of folds, from files as nnU-Net and crossval write them."""

import json
import math
import os

import pytest
from PIL import Image

from nnunet_eas.crossval import train_all
from nnunet_eas.crossval.curves import draw
from nnunet_eas.crossval.dataset import Dataset
from nnunet_eas.crossval.fold import Fold
from nnunet_eas.crossval.record import FILE, Record, read_record
from nnunet_eas.crossval.status import models_of, status_of, statuses_of, table

LOG = """2026-01-01 00:00:00.1: Epoch {epoch}
2026-01-01 00:00:00.2: train_loss {loss}
2026-01-01 00:00:00.3: val_loss 0.25
2026-01-01 00:00:00.4: Pseudo dice [np.float32(0.5), np.float32(0.7)]
2026-01-01 00:00:00.5: Epoch time: {seconds} s
"""


@pytest.fixture
def fold(tmp_path):
    made = Fold("Dataset901_Blobs", "2d", "EASUNetTrainer", "nnUNetPlans", 3, tmp_path)
    made.folder.mkdir(parents=True)
    return made


def write_log(fold, seconds, num_epochs=5):
    text = "".join(LOG.format(epoch=n, loss=-0.1 * n, seconds=s) for n, s in enumerate(seconds))
    (fold.folder / "training_log_2026_1_1_00_00_00.txt").write_text(text)
    (fold.folder / "debug.json").write_text(json.dumps({"num_epochs": str(num_epochs)}))


def test_nothing_there_is_waiting(fold):
    status = status_of(fold)
    assert (status.state, status.curve, status.epochs, status.node) == ("waiting", {}, None, "")
    assert table([status]).splitlines()[1].split() == [fold.model, "3", "waiting", *"-----"]


def test_running_and_interrupted(fold):
    write_log(fold, [100.0, 50.0, 60.0])
    (fold.folder / "checkpoint_best.pth").touch()
    Record(node="knee7").write(fold.folder)
    status = status_of(fold)
    assert (status.state, status.epochs, len(status.curve), status.node) == ("interrupted", 5, 3, "knee7")
    assert math.isnan(status.seconds_left)
    with fold.lock():
        status = status_of(fold)
        assert status.state == "running"
        assert status.epoch_seconds == 60.0
        assert status.seconds_left == 120.0
        assert status.pseudo_dice == pytest.approx(0.6)
        cells = table([status]).splitlines()[1].split("  ")
        assert [cell.strip() for cell in cells if cell] == [
            *(fold.model, "3", "running", "3/5", "60.0", "2 min", "0.6000", "knee7")
        ]
        (fold.folder / "checkpoint_final.pth").touch()
        assert status_of(fold).state == "validating"


def test_failed_and_trained(fold):
    Record(node="knee7", error="nnUNetv2_train ended with 1: no space").write(fold.folder)
    assert status_of(fold).state == "failed"
    assert table([status_of(fold)]).endswith("nnUNetv2_train ended with 1: no space")
    (fold.folder / "validation").mkdir()
    (fold.folder / "validation" / "summary.json").touch()
    assert status_of(fold).state == "trained"


@pytest.mark.parametrize(
    ("seconds", "text"), [(29, "0 min"), (3599, "1 h 00 min"), (3 * 3600 + 5 * 60, "3 h 05 min"), (600, "10 min")]
)
def test_time_left_as_a_person_reads_it(fold, seconds, text):
    write_log(fold, [float(seconds)], num_epochs=2)
    with fold.lock():
        assert f"  {text}  " in table([status_of(fold)])


def test_a_record_that_is_no_record_is_none(fold):
    assert read_record(fold.folder) is None
    for text in ("", "[]", '{"other": 1}'):
        (fold.folder / FILE).write_text(text)
        assert read_record(fold.folder) is None


def test_models_are_found_by_their_folders(fold, tmp_path):
    dataset = tmp_path / "Dataset901_Blobs"
    for other in ("ensembles", "crossval_jobs", "A__B__C__D"):
        (dataset / other).mkdir()
    assert models_of(dataset) == [("EASUNetTrainer", "nnUNetPlans", "2d")]


def test_the_curves_are_drawn(fold, tmp_path):
    with pytest.raises(ValueError, match="--png needs a fold"):
        draw([status_of(fold)], tmp_path / "curves.png")
    write_log(fold, [1.0, 1.0, 1.0])
    draw([status_of(fold)], tmp_path / "curves.png")
    assert Image.open(tmp_path / "curves.png").size[0] > 1000
    assert [path.name for path in tmp_path.glob("*.png")] == ["curves.png"]


@pytest.fixture
def dataset(tmp_path):
    """Two folds in the split file; one trainer was at work yesterday, and one today, on a third fold too."""
    preprocessed = tmp_path / "preprocessed"
    preprocessed.mkdir()
    (preprocessed / "splits_final.json").write_text(json.dumps([{"train": [], "val": []}] * 2))
    results = tmp_path / "results" / "Dataset901_Blobs"
    for trainer, numbers, when in (("Old", (0,), 1e9), ("New", (1, 2), 2e9)):
        for number in numbers:
            folder = results / f"{trainer}__P__2d" / f"fold_{number}"
            folder.mkdir(parents=True)
            os.utime(folder, (when, when))
    (results / "Planned__P__2d").mkdir()
    return Dataset(results.name, results.parent, preprocessed)


def shown(dataset, **more):
    statuses, left_out = statuses_of(dataset, **more)
    return [(status.fold.trainer, status.fold.number) for status in statuses], left_out


def test_status_shows_the_trainer_that_was_last_at_work_and_the_folds_of_the_split(dataset):
    of_old = "not shown: the models of Old; give -tr or --all"
    beyond = "not shown: fold 2 of New__P__2d, beyond splits_final.json; give --all"
    assert shown(dataset) == ([("New", 0), ("New", 1)], [of_old, beyond])
    assert shown(dataset, trainer="Old") == ([("Old", 0), ("Old", 1)], [])
    assert shown(dataset, everything=True) == ([("New", 0), ("New", 1), ("New", 2), ("Old", 0), ("Old", 1)], [])
    elsewhere = Dataset(dataset.name, dataset.results_root, None)  # a machine without the preprocessed data
    assert shown(elsewhere) == ([("New", 1), ("New", 2)], [of_old])
    for wrong in ({"trainer": "None"}, {"plans": "Q"}, {"configurations": ["3d_fullres"]}, {"trainer": "Planned"}):
        with pytest.raises(FileNotFoundError, match="must be a dataset with trainings"):
            statuses_of(dataset, **wrong)


def test_a_line_a_minute_about_a_running_fold(fold, monkeypatch):
    now, said = [100.0], []
    monkeypatch.setattr(train_all.time, "monotonic", lambda: now[0])
    lines = train_all.Progress(said.append)
    log = f"log {fold.folder / 'crossval_log.txt'}"

    def later(seconds):
        now[0] += seconds
        lines.look_at(fold)

    later(0)
    later(61)
    assert said.pop() == f"2d fold 3: waiting for its job to begin, {log}"
    with fold.lock():
        later(59)
        assert said == []
        later(2)
        assert said == [f"2d fold 3: in its first epoch, {log}"]
        write_log(fold, [100.0, 35.0], num_epochs=5)
        later(30)
        assert len(said) == 1
        later(31)
        assert said[1:] == [f"2d fold 3: epoch 2/5, pseudo Dice 0.60, 100 s an epoch, {log}"]
        later(61)
        assert len(said) == 2, "nothing new"
        (fold.folder / "checkpoint_final.pth").touch()
        later(61)
        assert said[2:] == [f"2d fold 3: validating, {log}"]
