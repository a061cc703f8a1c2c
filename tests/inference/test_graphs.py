"""ONNX and OpenVINO compute what PyTorch does, with any batch, from files that say nothing of this machine."""

import getpass
import json
import os
import re
import socket
import subprocess
import sys

import numpy as np
import onnxruntime
import pytest
import torch
from inference.tiny_models import PATCHES, REGIONS, write_model

from nnunet_eas.inference import onnx_graph, openvino_graph
from nnunet_eas.inference.export import FoldAverage
from nnunet_eas.inference.metadata import describe
from nnunet_eas.inference.trained_model import load_trained_model

pytestmark = pytest.mark.slow  # graphs are made and compiled

GRAPHS = pytest.mark.parametrize("graph", [onnx_graph, openvino_graph], ids=["onnx", "openvino"])


def write(graph, model, folder, *, average=False):
    """Writes a file into the empty folder and returns its path."""
    network = FoldAverage(model.networks) if average else model.networks[0]
    path = folder / f"model{graph.SUFFIX}"
    metadata = describe(model, model.folds if average else model.folds[:1])
    files = graph.write(path, network, model.image_shape, metadata)
    assert sorted(files) == sorted(folder.iterdir())
    return path


def interface(graph, path):
    """The name and shape of the graph's input and output; None is any number."""
    if graph is onnx_graph:
        session = onnxruntime.InferenceSession(path)
        (image,), (logits,) = session.get_inputs(), session.get_outputs()
        return [(it.name, [e if isinstance(e, int) else None for e in it.shape]) for it in (image, logits)]
    model = openvino_graph.runtime().Core().read_model(path)
    (image,), (logits,) = model.inputs, model.outputs
    return [
        (it.any_name, [None if e.is_dynamic else e.get_length() for e in it.partial_shape]) for it in (image, logits)
    ]


@GRAPHS
@pytest.mark.parametrize(
    ("which", "configuration"),
    [("eas", "2d"), ("eas", "3d_cascade_fullres"), ("paper", "3d_fullres"), ("stock", "2d"), ("stock", "3d_fullres")],
)
def test_any_batch_gives_the_networks_logits(loaded, graph, which, configuration, tmp_path):
    model = loaded(which, configuration)
    path = write(graph, model, tmp_path)
    channels = 3 if "cascade" in configuration else 1
    patch = PATCHES[configuration]
    assert interface(graph, path) == [("image", [None, channels, *patch]), ("logits", [None, 3, *patch])]
    run = graph.load(path)
    for batch in (1, 2, 5):
        image = torch.randn(batch, channels, *patch)
        with torch.inference_mode():
            expected = model.networks[0](image).numpy()
        logits = run(image.numpy())
        assert logits.dtype == np.float32
        assert logits.shape == expected.shape == (batch, 3, *patch)
        np.testing.assert_allclose(logits, expected, atol=1e-4 * np.abs(expected).max())


@GRAPHS
def test_metadata_come_back(tmp_path, graph):
    schemes = ("ZScoreNormalization", "CTNormalization")
    folder = write_model(
        tmp_path / "model", normalization=schemes, labels=REGIONS, mirroring_axes=(1,), regions_class_order=[2, 1]
    )
    model = load_trained_model(folder)
    metadata = describe(model, model.folds)
    (tmp_path / "out").mkdir()
    path = write(graph, model, tmp_path / "out")
    assert graph.read_metadata(path) == json.loads(json.dumps(metadata)) == metadata

    content = json.loads((folder / "plans.json").read_text())
    configuration = content["configurations"]["2d"]
    same = ("transpose_forward", "transpose_backward", "foreground_intensity_properties_per_channel")
    assert {key: metadata[key] for key in same} == {key: content[key] for key in same}
    same = ("patch_size", "spacing", "normalization_schemes", "use_mask_for_norm")
    assert {key: metadata[key] for key in same} == {key: configuration[key] for key in same}
    for what in ("data", "probabilities"):
        assert metadata[f"resampling_{what}"] == {
            "function": configuration[f"resampling_fn_{what}"],
            "kwargs": configuration[f"resampling_fn_{what}_kwargs"],
        }
    expected = {
        "format": 1,
        "dataset": "Dataset906_Tiny",
        "trainer": "nnUNetTrainer",
        "plans": "nnUNetPlans",
        "configuration": "2d",
        "folds": [0],
        "file_ending": ".nii.gz",
        "channel_names": {"0": "MR0", "1": "MR1"},
        "input_channels": 2,
        "tile_step_size": 0.5,
        "mirroring_axes": [1],
        "labels": REGIONS,
        "heads": [[1, 2], 1],
        "regions_class_order": [2, 1],
        "ignore_label": 3,
        "previous_stage": None,
    }
    assert {key: metadata[key] for key in expected} == expected


def test_metadata_of_a_cascade(loaded):
    metadata = describe(loaded("eas", "3d_cascade_fullres"), (0, 1))
    assert metadata["previous_stage"] == "3d_lowres"
    assert metadata["previous_stage_labels"] == [1, 2]
    assert metadata["input_channels"] == 3
    assert len(metadata["channel_names"]) == 1
    assert metadata["heads"] == [0, 1, 2]
    assert metadata["regions_class_order"] is None
    assert json.loads(json.dumps(metadata)) == metadata


@pytest.mark.usefixtures("converted_every_time")
@GRAPHS
def test_same_bytes_twice_and_nothing_of_this_machine(loaded, graph, tmp_path):
    made = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        write(graph, loaded("stock"), tmp_path / name)
        made.append({file.name: file.read_bytes() for file in (tmp_path / name).iterdir()})
    # OpenVINO numbers its unnamed layers through a process: two processes give the same, one does not
    unnamed = [{name: re.sub(rb'name="[^"]*"', b"", content) for name, content in of_one.items()} for of_one in made]
    assert unnamed[0] == unnamed[1]
    assert graph is openvino_graph or made[0] == made[1]
    private = {str(tmp_path), os.path.expanduser("~") + "/", sys.prefix, os.getcwd(), "site-packages", ".py"}
    private |= {name for name in (getpass.getuser(), socket.gethostname()) if len(name) > 4}  # "root" is in words
    for name, content in made[0].items():
        found = [text for text in private if text.encode() in content]
        assert not found, f"{name} holds {found}"


@pytest.mark.usefixtures("converted_every_time")
def test_onnx_has_a_limit(loaded, monkeypatch):
    model = loaded("eas")
    monkeypatch.setattr(onnx_graph, "LARGEST", 1000)
    with pytest.raises(ValueError, match="less than 2 GB"):
        onnx_graph.convert(model.networks[0], model.image_shape)


def test_openvino_does_not_report_its_use():
    code = (
        "import sys; from nnunet_eas.inference.openvino_graph import runtime; print(runtime().__name__, "
        "*[name for name, module in sys.modules.items() if name.startswith('openvino_telemetry') and module])"
    )
    completed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert completed.stdout.split() == ["openvino"]
