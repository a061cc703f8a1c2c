import math

import pytest
from reporting.model_folders import log_lines

from nnunet_eas.reporting.training_log import Epoch, mean_curve, read_curve


def write(fold, date, *epochs, end=""):
    text = "2026-11-21 09:35:46.123456: do_dummy_2d_data_aug: False \n" + "".join(log_lines(*e) for e in epochs)
    (fold / f"training_log_{date}.txt").write_text(text + end)


@pytest.mark.parametrize("dice", ["[0.5, 0.75]", "[np.float32(0.5), np.float64(0.75)]", "[0.5, nan, 0.75]"])
def test_an_epoch(tmp_path, dice):
    write(tmp_path, "2026_11_21_09_35_05", (0, -0.5, dice))
    assert read_curve(tmp_path) == {0: Epoch(-0.5, -0.25, 0.625, 2.5)}


def test_numbers_of_all_kinds(tmp_path):
    write(tmp_path, "2026_11_21_09_35_05", (0, 1e-05, "[np.float64(nan), nan]"), (1, math.nan, "[1.0, 0]"))
    curve = read_curve(tmp_path)
    assert curve[0].train_loss == 1e-05
    assert math.isnan(curve[0].pseudo_dice)
    assert math.isnan(curve[1].train_loss)
    assert curve[1].pseudo_dice == 0.5


def test_a_resumed_training_goes_on_from_its_checkpoint(tmp_path):
    # by the date's numbers, not its letters: the 9th is before the 10th
    write(tmp_path, "2026_11_10_09_00_00", (1, -20, "[0.2]"))
    write(tmp_path, "2026_11_9_23_00_00", (0, -1, "[0.1]"), (1, -2, "[0.1]"), (2, -3, "[0.1]"))
    write(tmp_path, "2026_11_11_09_00_00", end="2026-11-21 09:35:46.1: predicting a \n")
    assert {epoch: of_one.train_loss for epoch, of_one in read_curve(tmp_path).items()} == {0: -1, 1: -20}


def test_an_epoch_that_was_not_finished_does_not_count(tmp_path):
    unfinished = log_lines(1, -2, "[0.5]").split("2026-11-21 09:35:46.123456: Pseudo")[0]
    write(tmp_path, "2026_11_21_09_35_05", (0, -1, "[0.5]"), end=unfinished)
    assert list(read_curve(tmp_path)) == [0]


def test_no_log(tmp_path):
    assert read_curve(tmp_path) == {}
    (tmp_path / "training_log_2026_11_21_09_35_05.txt").write_bytes(b"\xff\x00 not a log")
    assert read_curve(tmp_path) == {}


def test_the_mean_is_over_the_epochs_that_all_folds_have():
    short = {0: Epoch(1, 2, 0.5, 10)}
    long = {0: Epoch(3, 4, 0.25, 20), 1: Epoch(5, 6, 0.75, 30)}
    assert mean_curve([short, long]) == {0: Epoch(2, 3, 0.375, 15)}
    assert mean_curve([]) == {}
