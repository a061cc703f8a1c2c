"""A network as an OpenVINO model: in memory, or as a pair of files."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

from nnunet_eas.inference import onnx_graph
from nnunet_eas.inference.verification import Precision

if TYPE_CHECKING:
    import openvino

SUFFIX = ".xml"
NEEDS = ("onnx", "onnxscript", "openvino")
SECTION = "nnunet_eas"  # of rt_info


def runtime() -> ModuleType:
    """The package `openvino`, kept from reporting its use over the network.

    It does so on import, through a package of its own that it can do without. Where scans of patients are predicted
    nothing should be sent.
    """
    if "openvino" not in sys.modules:
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None: can't be imported
    import openvino

    return openvino


def convert(network: nn.Module, input_channels: int, patch_size: Sequence[int]) -> openvino.Model:
    """The graph `image` (batch, channels, *patch) -> `logits` (batch, heads, *patch), with any batch.

    By way of ONNX: converted from PyTorch directly, instance norm ends up as a dozen slow operations where it goes
    through `torch.export`; the other way, `torch.jit.trace`, is deprecated. The arguments are `onnx_graph.convert`'s.
    """
    graph = onnx_graph.convert(network, input_channels, patch_size)
    return runtime().Core().read_model(graph.SerializeToString())


def write(
    path: Path, network: nn.Module, input_channels: int, patch_size: Sequence[int], metadata: Mapping[str, Any]
) -> list[Path]:
    """Writes the file and its weights (.bin), with each entry of the metadata as JSON in rt_info below `nnunet_eas`.

    Returns:
        The files, the one that names the model last.
    """
    model = convert(network, input_channels, patch_size)
    for key, value in metadata.items():
        model.set_rt_info(json.dumps(value), [SECTION, key])
    runtime().save_model(model, path, compress_to_fp16=False)
    return [path.with_suffix(".bin"), path]


def load(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """Loads the file into OpenVINO on the CPU, in single precision, as a function from patches to logits."""
    return compiled(path, "f32")


def compiled(model: openvino.Model | Path, precision: Precision) -> Callable[[np.ndarray], np.ndarray]:
    """Compiles the model for the CPU, as a function from patches to logits in single precision, in any `precision`."""
    # without the hint it takes bfloat16 where the CPU has it
    run = runtime().Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": precision})
    return lambda image: run(image)["logits"]


def has_bf16() -> bool:
    """Whether this CPU computes with bfloat16."""
    return "BF16" in runtime().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def read_metadata(path: Path) -> dict[str, Any]:
    """The metadata that `write` was given."""
    model = runtime().Core().read_model(path)
    keys = model.get_rt_info([SECTION]).astype(dict)
    return {key: json.loads(model.get_rt_info([SECTION, key]).astype(str)) for key in keys}
