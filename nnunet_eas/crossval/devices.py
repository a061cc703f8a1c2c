"""The devices of this machine that several trainings share."""

from __future__ import annotations

import os
import shutil
import subprocess


def free_gpus() -> list[int]:
    """The numbers of the GPUs on which nothing runs, by nvidia-smi, among those of CUDA_VISIBLE_DEVICES."""
    if shutil.which("nvidia-smi") is None:
        raise RuntimeError("-device cuda needs a GPU, got no nvidia-smi. Use -device cpu, or name --gpus.")
    gpus = dict(line.split(", ") for line in _ask("--query-gpu=index,uuid"))
    taken = set(_ask("--query-compute-apps=gpu_uuid"))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    allowed = set(gpus) if visible is None else set(visible.replace(" ", "").split(","))
    free = [int(index) for index, uuid in gpus.items() if uuid not in taken and index in allowed]
    if not free:
        raise RuntimeError(f"-device cuda needs a free GPU, got {len(gpus)}, all in use. Wait, or name --gpus.")
    return free


def cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _ask(what: str) -> list[str]:
    answer = subprocess.run(["nvidia-smi", what, "--format=csv,noheader"], capture_output=True, text=True, check=False)
    if answer.returncode:
        raise RuntimeError(f"nvidia-smi must answer, got: {answer.stdout.strip() or answer.stderr.strip()}.")
    return [line.strip() for line in answer.stdout.splitlines() if line.strip()]
