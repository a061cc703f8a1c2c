"""One fold: what is there, what is missing, who holds it."""

import os
import subprocess
import sys
import time

import pytest

from nnunet_eas.crossval.fold import Fold
from nnunet_eas.support.locks import Busy

HOLD = """
import subprocess, sys, time
from pathlib import Path
from nnunet_eas.crossval.fold import Fold

with Fold(*sys.argv[1:5], int(sys.argv[5]), Path(sys.argv[6])).lock() as descriptors:
    {child}
    print("held", flush=True)
    time.sleep(60)
"""
CHILD = "subprocess.Popen([sys.executable, '-c', 'input()'], pass_fds=descriptors)"


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


def holder(fold, child="pass"):
    """Another process that holds the fold."""
    arguments = [fold.dataset, fold.configuration, fold.trainer, fold.plans, str(fold.number), str(fold.results)]
    command = [sys.executable, "-c", HOLD.format(child=child), *arguments]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    return process


def test_only_one_process_holds_it_and_a_killed_one_does_not(fold):
    assert not fold.is_in_use()
    assert not fold.folder.exists()
    with fold.lock():
        assert fold.is_in_use()
    assert not fold.is_in_use()
    other = holder(fold)
    assert fold.is_in_use()
    with pytest.raises(Busy), fold.lock():
        pytest.fail("two hold it")
    other.kill()
    other.wait()
    with fold.lock():
        pass


@pytest.mark.skipif(os.name == "nt", reason="children inherit no lock")
def test_a_child_holds_it_where_its_parent_is_killed(fold):
    parent = holder(fold, CHILD)
    parent.kill()
    parent.wait()
    assert fold.is_in_use()
    parent.communicate("\n")  # the child reads it and ends
    for _ in range(100):
        if not fold.is_in_use():
            return
        time.sleep(0.1)
    pytest.fail("it is still held")


def test_names(fold, tmp_path):
    assert fold.folder == tmp_path / "Dataset901_Blobs" / "EASUNetTrainer__nnUNetPlans__2d" / "fold_3"
    assert str(fold) == "2d fold 3"
    assert fold.model == "EASUNetTrainer__nnUNetPlans__2d"
