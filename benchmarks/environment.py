"""What a measurement ran on, to stand beside its numbers."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from typing import Any

import torch


def describe() -> dict[str, Any]:
    """Versions, processor and device, without names of machines or paths."""
    packages = ("nnunet-eas", "nnunetv2", "dynamic-network-architectures", "torch", "numpy")
    return {
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in packages},
        "system": platform.system(),
        "machine": platform.machine(),
        "processor": _processor(),
        "cpu_count": os.cpu_count(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as f:
            names = [line.split(":", 1)[1].strip() for line in f if line.startswith("model name")]
        return names[0] if names else platform.processor()
    except OSError:
        return platform.processor()
