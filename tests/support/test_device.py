"""The device that a command takes."""

import pytest
import torch

from nnunet_eas.support.device import choose_device


@pytest.mark.parametrize(("cuda", "mps", "best"), [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")])
def test_auto_takes_the_best(monkeypatch, cuda, mps, best):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert choose_device("auto") == best
    assert choose_device(best) == best


def test_a_device_that_is_not_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(RuntimeError, match=r"^--device must be one that this machine has, got cuda without"):
        choose_device("cuda", "--device")
    with pytest.raises(ValueError, match=r"^device \(-device\) must be one of auto, cuda, cpu, mps, got tpu\."):
        choose_device("tpu")
