"""Free GPUs, as a made nvidia-smi tells them."""

import pytest

from nnunet_eas.crossval.devices import free_gpus, gpus_of

SCRIPT = """#!/bin/sh
case "$1" in
    --query-gpu=index,uuid) printf '0, GPU-aa\\n1, GPU-ab\\n2, GPU-cc\\n' ;;
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
        ("", None, ["GPU-aa", "GPU-ab", "GPU-cc"]),
        (r"GPU-ab\nGPU-ab\n", None, ["GPU-aa", "GPU-cc"]),
        (r"GPU-ab\n", "1, 2", ["GPU-cc"]),
        ("", "0", ["GPU-aa"]),
        ("", "GPU-c,GPU-ab", ["GPU-cc", "GPU-ab"]),
        (r"GPU-cc\n", "GPU-c,GPU-ab", ["GPU-ab"]),
        ("", "2,-1,0", ["GPU-cc"]),  # CUDA sees nothing after the first wrong one
        ("", "MIG-7f0e,MIG-GPU-aa/1/0", ["MIG-7f0e", "MIG-GPU-aa/1/0"]),
    ],
)
def test_those_that_nobody_computes_on(machine, taken, visible, expected):
    machine(taken, visible=visible)
    assert free_gpus() == expected


def test_none_is_free_or_there(machine, monkeypatch, tmp_path):
    machine(r"GPU-aa\nGPU-ab\nGPU-cc\n")
    with pytest.raises(RuntimeError, match="needs a free GPU, got 3, all in use"):
        free_gpus()
    machine(status=9)
    with pytest.raises(RuntimeError, match="nvidia-smi must answer"):
        free_gpus()
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    with pytest.raises(RuntimeError, match="got no nvidia-smi"):
        free_gpus()


@pytest.mark.parametrize("visible", ["", "-1", "7", "GPU-x"])
def test_a_variable_that_hides_all_is_named(machine, visible):
    machine(visible=visible)
    with pytest.raises(RuntimeError, match=f"got CUDA_VISIBLE_DEVICES='{visible}' and 3 GPUs. Unset the variable"):
        free_gpus()


def test_numbers_are_those_of_nvidia_smi(machine, monkeypatch, tmp_path):
    machine()
    assert gpus_of([2, 0]) == ["GPU-cc", "GPU-aa"]
    with pytest.raises(ValueError, match=r"--gpus must be 0 to 2, as nvidia-smi shows them, got \[3\]"):
        gpus_of([0, 3])
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    assert gpus_of([3]) == ["3"]
