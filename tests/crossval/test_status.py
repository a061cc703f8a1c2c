"""The table of folds, from files as nnU-Net and crossval write them."""

import json
import math

import pytest
from PIL import Image

from nnunet_eas.crossval.curves import draw
from nnunet_eas.crossval.fold import Fold
from nnunet_eas.crossval.record import FILE, Record, read_record
from nnunet_eas.crossval.status import models_of, status_of, table

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


def test_running_and_cut(fold):
    write_log(fold, [100.0, 50.0, 60.0])
    (fold.folder / "checkpoint_best.pth").touch()
    Record(node="knee7").write(fold.folder)
    status = status_of(fold)
    assert (status.state, status.epochs, len(status.curve), status.node) == ("cut", 5, 3, "knee7")
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
