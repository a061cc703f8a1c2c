"""The devices of this machine that several trainings share."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence


def free_gpus() -> list[str]:
    """The GPUs on which nothing runs, by nvidia-smi, among those of CUDA_VISIBLE_DEVICES; names for that variable.

    Parts of a GPU (MIG) are taken as free: nvidia-smi does not tell which of them is computed on. In a container it may
    not see the processes of others.
    """
    if shutil.which("nvidia-smi") is None:
        raise RuntimeError("-device cuda needs a GPU, got no nvidia-smi. Use -device cpu, or name --gpus.")
    uuids = _uuids()
    visible = _visible(uuids)
    if not visible:
        raise RuntimeError(
            f"-device cuda needs a GPU, got CUDA_VISIBLE_DEVICES={os.environ.get('CUDA_VISIBLE_DEVICES', '')!r} and "
            f"{len(uuids)} GPUs. Unset the variable, or use -device cpu."
        )
    taken = set(_ask("--query-compute-apps=gpu_uuid"))
    free = [gpu for gpu in visible if gpu not in taken]
    if not free:
        raise RuntimeError(f"-device cuda needs a free GPU, got {len(visible)}, all in use. Wait, or name --gpus.")
    return free


def gpus_of(numbers: Sequence[int]) -> list[str]:
    """The GPUs that nvidia-smi shows with these numbers; CUDA may count them in another order."""
    if shutil.which("nvidia-smi") is None:
        return [str(number) for number in numbers]
    uuids = _uuids()
    wrong = [number for number in numbers if not 0 <= number < len(uuids)]
    if wrong:
        raise ValueError(f"--gpus must be 0 to {len(uuids) - 1}, as nvidia-smi shows them, got {wrong}.")
    return [uuids[number] for number in numbers]


def _uuids() -> list[str]:
    return [line.split(", ")[1] for line in _ask("--query-gpu=index,uuid")]


def _visible(uuids: Sequence[str]) -> list[str]:
    """The devices of CUDA_VISIBLE_DEVICES, by whole names; as in CUDA, the first wrong one ends it."""
    variable = os.environ.get("CUDA_VISIBLE_DEVICES")
    if variable is None:
        return list(uuids)
    visible = []
    for name in variable.replace(" ", "").split(","):
        if name.isdecimal() and int(name) < len(uuids):
            visible.append(uuids[int(name)])
        elif name.startswith("MIG-"):
            visible.append(name)
        elif name.startswith("GPU-") and (named := [uuid for uuid in uuids if uuid.startswith(name)]):
            visible.append(named[0])
        else:
            break
    return list(dict.fromkeys(visible))


def cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _ask(what: str) -> list[str]:
    answer = subprocess.run(["nvidia-smi", what, "--format=csv,noheader"], capture_output=True, text=True, check=False)
    if answer.returncode:
        raise RuntimeError(f"nvidia-smi must answer, got: {answer.stdout.strip() or answer.stderr.strip()}.")
    return [line.strip() for line in answer.stdout.splitlines() if line.strip()]
