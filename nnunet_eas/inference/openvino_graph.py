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
    """The package `openvino`, kept from reporting its use over the network, as it does on import."""
    if "openvino" not in sys.modules:  # it can do without the package that it reports through
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None: can't be imported
    import openvino

    return openvino


def convert(network: nn.Module, shape: Sequence[int]) -> openvino.Model:
    """The graph of `onnx_graph.convert`.

    Converted from PyTorch directly, instance norm ends up as a dozen slow operations where it goes through
    `torch.export`; the other way, `torch.jit.trace`, is deprecated.
    """
    return runtime().Core().read_model(onnx_graph.convert(network, shape).SerializeToString())


def write(path: Path, network: nn.Module, shape: Sequence[int], metadata: Mapping[str, Any]) -> list[Path]:
    """Writes the weights (.bin) and the file, with each entry of the metadata as JSON in rt_info; returns both."""
    model = convert(network, shape)
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
