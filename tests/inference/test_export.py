"""`nnunet-eas export`, as it is typed: what it writes, says and refuses."""

import os
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from inference.tiny_models import write_model

from nnunet_eas.cli.main import main
from nnunet_eas.inference import export as exporting
from nnunet_eas.inference import onnx_graph, openvino_graph

pytestmark = pytest.mark.slow  # graphs are made and compiled

NAME = "EASUNetTrainer__nnUNetPlans__2d"


@pytest.fixture
def small_networks(loaded, monkeypatch):
    """Commands get a loaded model with networks of one convolution; what is tested is behind the graph."""
    networks = tuple(torch.nn.Conv2d(1, 3, 3, padding=1).eval() for _ in range(2))
    monkeypatch.setattr(exporting, "load_trained_model", lambda *_, **__: replace(loaded("eas"), networks=networks))


def test_average_and_apart(trained, tmp_path, capsys):
    model, out = trained("stock"), tmp_path / "new" / "folder"  # the quickest to export
    assert main(["export", str(model), "--to", "onnx", "--apart", "-o", str(out)]) == 0
    assert main(["export", str(model), "--to", "onnx", "-o", str(out)]) == 0
    names = [f"{model.name}__fold_{folds}.onnx" for folds in ("0", "0_1", "1")]
    assert sorted(file.name for file in out.iterdir()) == names
    assert [onnx_graph.read_metadata(out / name)["folds"] for name in names] == [[0], [0, 1], [1]]

    image = np.random.default_rng(1).standard_normal((3, 1, 16, 24)).astype(np.float32)
    first, average, second = (onnx_graph.load(out / name)(image) for name in names)
    np.testing.assert_allclose(average, (first + second) / 2, atol=1e-5 * np.abs(average).max())
    assert np.abs(first - second).max() > 0.1

    captured = capsys.readouterr()
    assert captured.err == ""
    lines = captured.out.splitlines()
    assert lines[0] == f"{model.name}, fold 0, 1"
    size = (out / names[0]).stat().st_size / 1e6
    number = r"logits differ by at most \d\.\de-\d\d of their spread, 100\.0000% labels equal"
    assert re.fullmatch(rf"{model.name}__fold_0\.onnx: {size:.1f} MB, against PyTorch: {number}", lines[1])
    assert lines[3] == f"written: {out / names[0]}"


def test_a_fold_into_an_openvino_file(trained, tmp_path):
    target = tmp_path / "model.xml"
    assert main(["export", str(trained("stock")), "--to", "openvino", "-f", "1", "-o", str(target)]) == 0
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model.bin", "model.xml"]
    assert openvino_graph.read_metadata(target)["folds"] == [1]
    assert openvino_graph.load(target)(np.zeros((2, 1, 16, 24), np.float32)).shape == (2, 3, 16, 24)


@pytest.mark.usefixtures("small_networks")
@pytest.mark.parametrize("to", ["onnx", "openvino"])
def test_a_wrong_graph_gets_no_name(tmp_path, capsys, monkeypatch, to):
    graph = exporting.GRAPHS[to]
    load = graph.load
    monkeypatch.setattr(graph, "load", lambda path: lambda image: load(path)(image) + 0.1 * (len(image) > 1))
    before = tmp_path / f"{NAME}__fold_0_1{graph.SUFFIX}"
    before.write_text("of before")
    assert main(["export", "MODEL", "--to", to, "-o", str(tmp_path)]) == 1
    captured = capsys.readouterr()
    assert re.search(r"error: The exported graph must agree .* got: logits differ by at most \d\.\de-01", captured.err)
    assert "written" not in captured.out
    assert [file.name for file in tmp_path.iterdir()] == [before.name]
    assert before.read_text() == "of before"


@pytest.mark.usefixtures("small_networks")
def test_the_last_of_several_is_wrong(tmp_path, monkeypatch):
    compare, calls = exporting.compare, []

    def second_is_wrong(*args, **kwargs):
        calls.append(compare(*args, **kwargs))
        return exporting.Agreement(0.0, 0.5) if len(calls) == 2 else calls[0]

    monkeypatch.setattr(exporting, "compare", second_is_wrong)
    assert main(["export", "MODEL", "--to", "onnx", "--apart", "-o", str(tmp_path)]) == 1
    assert calls[0].is_good()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("small_networks")
def test_a_pair_is_named_whole_or_not_at_all(tmp_path, monkeypatch, capsys):
    rename = os.replace

    def full_disk(source, target):
        if str(target).endswith(".xml"):
            raise OSError(28, "No space left on device")
        rename(source, target)

    monkeypatch.setattr(exporting.os, "replace", full_disk)
    (tmp_path / "model.xml").write_text("of before, with other weights")
    assert main(["export", "MODEL", "--to", "openvino", "-o", str(tmp_path / "model.xml")]) == 1
    assert "No space left on device" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("small_networks")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--to", "onnx", "-o", "model.xml"), r"output \(-o\) must end in \.onnx for --to onnx, got .*model\.xml"),
        (
            ("--to", "openvino", "-o", "model.bin"),
            r"output \(-o\) must end in \.xml for --to openvino, got .*model\.bin",
        ),
        (("--to", "onnx", "--apart", "-o", "model.onnx"), r"output \(-o\) must be a folder for the files of --apart"),
        (
            ("--to", "onnx", "-o", "a_file/model.onnx"),
            r"output \(-o\) must lead to a folder, got a_file",
        ),
        (
            ("--to", "onnx", "-o", "a_file/below"),
            r"output \(-o\) must lead to a folder, got a_file/below",
        ),
    ],
)
def test_outputs_that_cannot_be(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a_file").touch()
    assert main(["export", "MODEL", *arguments]) == 1
    assert re.search(f"^error: {message}", capsys.readouterr().err)
    assert [file.name for file in tmp_path.iterdir()] == ["a_file"]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
@pytest.mark.usefixtures("small_networks")
def test_a_folder_without_permission(tmp_path, capsys):
    tmp_path.chmod(0o500)
    assert main(["export", "MODEL", "--to", "onnx", "-o", str(tmp_path / "model.onnx")]) == 1
    assert "output (-o) must lead to a writable folder" in capsys.readouterr().err


@pytest.mark.parametrize(("to", "missing"), [("onnx", "onnxscript"), ("onnx", "onnxruntime"), ("openvino", "openvino")])
def test_without_the_extra(tmp_path, monkeypatch, capsys, to, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    assert main(["export", "MODEL", "--to", to, "-o", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert error == (
        f'error: --to {to} needs {missing}, which is not installed. In the source folder: pip install ".[export]".\n'
    )


def test_other_commands_do_without_the_extra():
    code = """
import sys
sys.modules.update(dict.fromkeys(["onnx", "onnxscript", "onnxruntime", "openvino"]))
import nnunet_eas.inference.export
from nnunet_eas.cli.main import main
main(["doctor"])
"""
    completed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert completed.returncode == 0, completed.stderr
    assert "nnU-Net's look-up finds EASUNetTrainer" in completed.stdout


@pytest.mark.parametrize(
    "wrong", [["--average", "--apart"], ["-f", "first"], ["-f", "-1"], ["--to", "tensorrt"]], ids=" ".join
)
def test_wrong_usage(wrong):
    with pytest.raises(SystemExit) as exit_info:
        main(["export", "MODEL", "--to", "onnx", "-o", "OUT", *wrong])
    assert exit_info.value.code == 2


def test_no_model(tmp_path, capsys):
    model = write_model(tmp_path)
    for file in model.glob("fold_*/*"):
        file.write_bytes(b"PK\x03\x04 but no more")
    assert main(["export", str(model), "--to", "onnx", "-o", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err.startswith("error: The checkpoint must be whole, got ")
    assert not (tmp_path / "out").exists()
