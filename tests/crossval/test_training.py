"""A training's process: its variables, its lock, its error."""

import json
import os
from pathlib import Path

import pytest

from nnunet_eas.crossval import training as module
from nnunet_eas.crossval.fold import Fold
from nnunet_eas.crossval.record import read_record
from nnunet_eas.crossval.training import IN_USE, TRAINED, Training

SHARED = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "NNUNET_EAS_THREADS")


@pytest.fixture
def fold(tmp_path):
    return Fold("Dataset901_Blobs", "2d", "T", "P", 0, tmp_path)


@pytest.fixture
def nnunet(monkeypatch, fold):
    """nnU-Net's command as a function; returns what each call was given."""
    given = []

    def run_command(command, log, *, environment, inherit, started):
        given.append(environment)
        assert fold.is_in_use()
        assert all(os.fstat(descriptor) for descriptor in inherit)
        started("process")
        Path(log).write_text("the last line\n")
        if "fails" in os.environ:
            return int(os.environ["fails"])
        (fold.folder / "validation").mkdir()
        (fold.folder / "validation" / "summary.json").write_text(json.dumps({}))
        return 0

    monkeypatch.setattr(module, "run_command", run_command)
    return given


@pytest.mark.parametrize(("threads", "expected"), [(None, [None] * 3), (3, ["3", "PASSIVE", "3"])])
def test_a_training_gets_its_share_of_the_cores(fold, nnunet, monkeypatch, threads, expected):
    for variable in SHARED:
        monkeypatch.delenv(variable, raising=False)
    assert Training(fold, "cpu", False, threads)() == TRAINED
    assert [nnunet[0].get(variable) for variable in SHARED] == expected
    assert Training(fold, "cpu", False, threads)() == TRAINED
    assert len(nnunet) == 1


@pytest.mark.parametrize("threads", [None, 3])
@pytest.mark.parametrize(("gpu", "expected"), [("GPU-a", "GPU-a"), (None, "GPU-b")])
def test_a_training_sees_its_gpu(fold, nnunet, monkeypatch, threads, gpu, expected):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-b")
    Training(fold, "cuda", False, threads, gpu)()
    assert nnunet[0]["CUDA_VISIBLE_DEVICES"] == expected


def test_what_the_user_has_set_stays(fold, nnunet, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    Training(fold, "cpu", False, 1)()
    assert [nnunet[0][variable] for variable in SHARED[:2]] == ["2", "ACTIVE"]


@pytest.mark.parametrize(("status", "how"), [("1", "ended with 1: the last line"), ("-9", "was ended by SIGKILL")])
def test_an_error_is_recorded(fold, nnunet, monkeypatch, status, how):
    monkeypatch.setenv("fails", status)
    with pytest.raises(RuntimeError, match=f"nnUNetv2_train {how}"):
        Training(fold, "cpu", False)()
    assert read_record(fold.folder).error == f"nnUNetv2_train {how}"


def test_a_fold_in_use_is_left_alone(fold, nnunet):
    with fold.lock():
        assert Training(fold, "cpu", False)() == IN_USE
    assert nnunet == []
