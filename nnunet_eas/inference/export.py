"""A trained model as files that predict without nnU-Net and PyTorch."""

from __future__ import annotations

import importlib.util
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nnunet_eas.inference import onnx_graph, openvino_graph
from nnunet_eas.inference.fold_average import FoldAverage
from nnunet_eas.inference.metadata import describe
from nnunet_eas.inference.trained_model import TrainedModel
from nnunet_eas.inference.verification import LARGEST_DIFFERENCE, LEAST_EQUAL_LABELS, Agreement, compare

GRAPHS = {"onnx": onnx_graph, "openvino": openvino_graph}


@dataclass(frozen=True)
class Exported:
    """A written file.

    Attributes:
        path: Its name; OpenVINO's weights lie beside it as .bin.
        folds: Whose logits it gives, averaged if there are several.
        size: Bytes, weights included.
        agreement: With PyTorch.
    """

    path: Path
    folds: tuple[int | str, ...]
    size: int
    agreement: Agreement


def check_installed(to: str) -> None:
    """Raises a RuntimeError where a package is missing that the export needs."""
    missing = [name for name in GRAPHS[to].NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        raise RuntimeError(
            f"--to {to} needs {', '.join(missing)}, which is not installed. Run pip install 'nnunet-eas[export]'."
        )


def target_names(
    model: TrainedModel, to: str, output: Path, *, average: bool
) -> list[tuple[Path, tuple[int | str, ...]]]:
    """The files to write and the folds of each.

    Args:
        model: The loaded model.
        to: "onnx" or "openvino".
        output: A file with the format's ending, or a folder, there or not.
        average: One file for all folds; otherwise a file for each.

    Raises:
        ValueError: `output` is a file's name for several files, or has another format's ending.
    """
    suffix = GRAPHS[to].SUFFIX
    parts = [model.folds] if average else [(fold,) for fold in model.folds]
    if output.suffix in {".bin", *(graph.SUFFIX for graph in GRAPHS.values())} and not output.is_dir():
        if output.suffix != suffix:
            raise ValueError(f"-o must end in {suffix} for --to {to}, got {output}. Give that, or a folder.")
        if len(parts) > 1:
            raise ValueError(f"-o must be a folder for the files of --apart, got {output}. Give a folder.")
        return [(output, parts[0])]
    return [(output / f"{model.name}__fold_{'_'.join(map(str, folds))}{suffix}", folds) for folds in parts]


def export(
    model: TrainedModel,
    to: str,
    output: Path,
    *,
    average: bool = True,
    report: Callable[[str], None] = lambda text: None,
) -> list[Exported]:
    """Writes, loads and compares all files under temporary names, and only then gives them theirs.

    Args:
        model: The loaded model.
        to: "onnx" or "openvino".
        output: A file or a folder, as in `target_names`.
        average: One file for all folds; otherwise a file for each.
        report: Gets a line for every file that has been compared.

    Raises:
        RuntimeError: A file does not compute what PyTorch does. Then none is written.
        OSError: The folder can't be written to.
    """
    targets = target_names(model, to, output, average=average)
    folder = targets[0][0].parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".export_", dir=folder))
    except OSError as error:
        raise PermissionError(
            f"-o must be in a folder that can be written to, got {folder} ({error.strerror}). Choose another one."
        ) from error
    try:
        exported, staged = [], []
        for path, folds in targets:
            agreement, files = _write_and_compare(model, to, temporary / path.name, folds)
            size = sum(file.stat().st_size for file in files)
            report(f"{path.name}: {size / 1e6:.1f} MB, against PyTorch: {agreement}")
            if not agreement.is_good():
                raise RuntimeError(
                    f"The exported graph must agree with PyTorch to {LARGEST_DIFFERENCE} of the logits' spread and "
                    f"in {LEAST_EQUAL_LABELS:.1%} of labels, got: {agreement}. Nothing was written; try the other --to."
                )
            exported.append(Exported(path, folds, size, agreement))
            staged.append(files)
        _give_names(staged, folder)
        return exported
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write_and_compare(
    model: TrainedModel, to: str, path: Path, folds: tuple[int | str, ...]
) -> tuple[Agreement, list[Path]]:
    graph = GRAPHS[to]
    networks = [network for fold, network in zip(model.folds, model.networks, strict=True) if fold in folds]
    network = networks[0] if len(networks) == 1 else FoldAverage(networks)
    channels, patch = model.input_channels, model.patch_size
    files = graph.write(path, network, channels, patch, describe(model, folds))
    run = graph.load(path)
    return compare(run, network, model.label_manager, input_channels=channels, patch_size=patch), files


def _give_names(staged: list[list[Path]], folder: Path) -> None:
    """Moves whole files into place."""
    named: list[Path] = []
    try:
        for files in staged:
            if len(files) > 1:  # an old model must not stand beside new weights, not even for a moment
                (folder / files[-1].name).unlink(missing_ok=True)
            for file in files:
                os.replace(file, folder / file.name)
                named.append(folder / file.name)
    except BaseException:
        for file in named:
            file.unlink(missing_ok=True)
        raise
