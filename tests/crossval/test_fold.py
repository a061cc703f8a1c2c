"""One fold: what is there, what is missing, who holds it."""

import subprocess
import sys

import pytest

from nnunet_eas.crossval.fold import LOCK, Fold

HOLD = "import fcntl, sys, time; f = open(sys.argv[1], 'a'); fcntl.flock(f, fcntl.LOCK_EX); print('held', flush=True); "


@pytest.fixture
def fold(tmp_path):
    return Fold("Dataset901_Blobs", "2d", "EASUNetTrainer", "nnUNetPlans", 3, tmp_path)


def touch(fold, *names):
    for name in names:
        (fold.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (fold.folder / name).touch()


@pytest.mark.parametrize(
    ("there", "last"),
    [
        ([], []),
        (["checkpoint_best.pth"], ["--c"]),
        (["checkpoint_best.pth", "checkpoint_latest.pth"], ["--c"]),
        (["checkpoint_best.pth", "checkpoint_final.pth"], ["--val"]),
    ],
)
def test_the_command_does_what_is_missing(fold, there, last):
    touch(fold, *there)
    expected = ["nnUNetv2_train", "Dataset901_Blobs", "2d", "3", "-tr", "EASUNetTrainer", "-p", "nnUNetPlans"]
    assert fold.command("cpu", with_probabilities=False) == [*expected, "-device", "cpu", *last]
    assert fold.command("cpu", with_probabilities=True) == [*expected, "-device", "cpu", "--npz", *last]


def test_it_is_trained_once_the_summary_is_there(fold):
    assert not fold.is_trained()
    touch(fold, "checkpoint_final.pth", "validation/blob_000.nii.gz")
    assert not fold.is_trained()
    touch(fold, "validation/summary.json")
    assert fold.is_trained()
    assert not fold.is_trained(with_probabilities=True)
    touch(fold, "validation/blob_000.npz")
    assert fold.is_trained(with_probabilities=True)


def test_only_one_process_holds_it_and_a_killed_one_does_not(fold):
    assert not fold.is_in_use()
    assert not fold.folder.exists()
    with fold.lock() as held:
        assert held is not None
        assert fold.is_in_use()
    assert not fold.is_in_use()
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD + "time.sleep(60)", fold.folder / LOCK], stdout=subprocess.PIPE, text=True
    )
    assert other.stdout.readline() == "held\n"
    assert fold.is_in_use()
    with fold.lock() as held:
        assert held is None
    other.kill()
    other.wait()
    with fold.lock() as held:
        assert held is not None


def test_a_process_that_inherits_the_lock_holds_it(fold):
    with fold.lock() as held:
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=(held,))
    assert fold.is_in_use()
    child.communicate(b"\n")
    assert not fold.is_in_use()


def test_names(fold, tmp_path):
    assert fold.folder == tmp_path / "Dataset901_Blobs" / "EASUNetTrainer__nnUNetPlans__2d" / "fold_3"
    assert str(fold) == "2d fold 3"
    assert fold.model == "EASUNetTrainer__nnUNetPlans__2d"
