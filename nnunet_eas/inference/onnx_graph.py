"""A network as an ONNX file."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from nnunet_eas.cpu import restore
from nnunet_eas.inference.quiet import quiet

if TYPE_CHECKING:
    import onnx

SUFFIX = ".onnx"
NEEDS = ("onnx", "onnxscript", "onnxruntime")
OPSET = 18  # PyTorch's exporter writes it without converting; every runtime of the last years reads it
LARGEST = 2**31 - 2**20  # bytes: protobuf's limit, less room for what is not weights


def convert(network: nn.Module, shape: Sequence[int]) -> onnx.ModelProto:
    """The graph `image` (batch, *shape) -> `logits` (batch, heads, *shape[1:]), with any batch.

    The shape is (channels, *patch). The graph is made from a copy of the network without what makes it fast on a CPU:
    runtimes optimise the plain graph.
    """
    size = sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values())
    if size > LARGEST:
        have = f"less than 2 GB, got {size / 2**30:.1f} GB"
        raise ValueError(f"an ONNX file must hold a network of {have}. Give --apart, or fewer folds.")
    image = torch.zeros(2, *shape)  # a batch of 1 would be taken for a constant
    with quiet(), torch.no_grad():
        program = torch.onnx.export(
            restore(copy.deepcopy(network)),
            (image,),
            dynamo=True,
            opset_version=OPSET,
            input_names=["image"],
            output_names=["logits"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            verbose=False,
        )
    assert program is not None  # only the exporter that is not used returns None
    graph = program.model_proto
    # The exporter notes the stack of Python calls, with the paths on this machine, at every node.
    inside = graph.graph
    for part in (inside, *inside.node, *inside.value_info, *inside.input, *inside.output, *inside.initializer):
        part.ClearField("metadata_props")
    return graph


def write(path: Path, network: nn.Module, shape: Sequence[int], metadata: Mapping[str, Any]) -> list[Path]:
    """Writes the file, with each entry of the metadata as JSON in `metadata_props`; returns the files."""
    import onnx

    graph = convert(network, shape)
    onnx.helper.set_model_props(graph, {key: json.dumps(value) for key, value in metadata.items()})
    path.write_bytes(graph.SerializeToString(deterministic=True))
    return [path]


def load(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """Loads the file into ONNX Runtime on the CPU, as a function from patches to logits."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda image: session.run(["logits"], {"image": image})[0]


def read_metadata(path: Path) -> dict[str, Any]:
    """The metadata that `write` was given."""
    import onnx

    return {entry.key: json.loads(entry.value) for entry in onnx.load(path).metadata_props}
