"""Free GPUs, as a made nvidia-smi tells them."""

import pytest

from nnunet_eas.crossval.devices import free_gpus

SCRIPT = """#!/bin/sh
case "$1" in
    --query-gpu=index,uuid) printf '0, GPU-a\\n1, GPU-b\\n2, GPU-c\\n' ;;
    --query-compute-apps=gpu_uuid) printf '%b' "{taken}" ;;
esac
exit {status}
"""


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine with three GPUs, some of which are computed on."""

    def machine(taken="", status=0, visible=None):
        (tmp_path / "nvidia-smi").write_text(SCRIPT.format(taken=taken, status=status))
        (tmp_path / "nvidia-smi").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        if visible is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)

    return machine


@pytest.mark.parametrize(
    ("taken", "visible", "expected"),
    [
        ("", None, [0, 1, 2]),
        (r"GPU-b\nGPU-b\n", None, [0, 2]),
        (r"GPU-b\n", "1, 2", [2]),
        ("", "0", [0]),
    ],
)
def test_those_that_nobody_computes_on(machine, taken, visible, expected):
    machine(taken, visible=visible)
    assert free_gpus() == expected


def test_none_is_free_or_there(machine, monkeypatch, tmp_path):
    machine(r"GPU-a\nGPU-b\nGPU-c\n")
    with pytest.raises(RuntimeError, match="needs a free GPU, got 3, all in use"):
        free_gpus()
    machine(status=9)
    with pytest.raises(RuntimeError, match="nvidia-smi must answer"):
        free_gpus()
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    with pytest.raises(RuntimeError, match="got no nvidia-smi"):
        free_gpus()
