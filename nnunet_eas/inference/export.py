"""Export of a trained model as files that predict without nnU-Net and PyTorch."""

from __future__ import annotations

import importlib.util
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from nnunet_eas.inference import onnx_graph, openvino_graph
from nnunet_eas.inference.metadata import describe
from nnunet_eas.inference.trained_model import TrainedModel, load_trained_model
from nnunet_eas.inference.verification import LARGEST_DIFFERENCE, LEAST_EQUAL_LABELS, Agreement, compare
from nnunet_eas.support.outputs import check_output_folder

GRAPHS = {"onnx": onnx_graph, "openvino": openvino_graph}
Folds = tuple[int | str, ...]


class FoldAverage(nn.Module):
    """The mean of the folds' logits, as nnU-Net's predictor averages several folds."""

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.eval()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits of patches."""
        total = self.networks[0](image)
        for network in self.networks[1:]:
            total = total + network(image)
        return total / len(self.networks)


@dataclass(frozen=True)
class Exported:
    """A written file.

    Attributes:
        path: Its name; OpenVINO's weights are beside it as .bin.
        folds: The folds whose logits the file gives, averaged if there are several.
        size: Bytes, weights included.
        agreement: Comparison with PyTorch.
    """

    path: Path
    folds: Folds
    size: int
    agreement: Agreement


def export(
    model: str | Path | TrainedModel,
    to: str,
    output: str | Path,
    *,
    folds: Sequence[int | str] | None = None,
    checkpoint: str = "checkpoint_final.pth",
    average: bool = True,
    trust: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> list[Exported]:
    """Writes a trained model of nnU-Net, of any trainer, as ONNX or OpenVINO files: patches to logits.

    The metadata of a file say all that preprocessing, the sliding window and the labels need. All files are written,
    loaded and compared with PyTorch under temporary names, and only then get their own.

    Args:
        model: A trained model's folder, TRAINER__PLANS__CONFIGURATION, a file of `pack`, or a model that
            `load_trained_model` gave.
        to: "onnx" or "openvino".
        output: A file with the format's ending (.onnx, .xml), or a folder, made where it is missing.
        folds: Numbers, or "all"; None takes all that are trained. Not used for a loaded model.
        checkpoint: The file in each fold's folder. Not used for a loaded model.
        average: One file with the mean of the folds' logits, as nnU-Net averages them; otherwise a file for each fold.
        trust: Load checkpoints as nnU-Net does, whatever that runs.
        say: Gets a line that names the model, and one for every file that has been compared.

    Raises:
        RuntimeError: A package is missing, or a file does not compute what PyTorch does. Then no file is written.
        ValueError: `output` is one file's name for several files, or has another format's ending.
        OSError: The model does not exist, or the folder can't be written to.

    Example:
        >>> import os
        >>> from nnunet_eas import export
        >>> (file,) = export(os.environ["MODEL"], "onnx", "models_of_api")  # a trained model's folder
        >>> file.path.suffix, file.agreement.is_good()
        ('.onnx', True)
    """
    if to not in GRAPHS:
        raise ValueError(f"to (--to) must be one of {', '.join(GRAPHS)}, got {to}. Give one of them.")
    graph = GRAPHS[to]
    missing = [name for name in graph.NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        raise RuntimeError(
            f"--to {to} needs {', '.join(missing)}, which is not installed. In the source folder: pip install "
            '".[export]".'
        )
    if not isinstance(model, TrainedModel):
        model = load_trained_model(model, folds, checkpoint, trust=trust)
    say(f"{model.name}, fold {', '.join(map(str, model.folds))}")
    targets = _targets(model, to, Path(output), average=average)
    folder = targets[0][0].parent
    check_output_folder(folder, "output (-o)")
    exported: list[Exported] = []
    written: list[list[Path]] = []
    with tempfile.TemporaryDirectory(prefix=".export_", dir=folder) as temporary:
        for path, of_file in targets:
            networks = [network for fold, network in zip(model.folds, model.networks, strict=True) if fold in of_file]
            network = networks[0] if len(networks) == 1 else FoldAverage(networks)
            file = Path(temporary, path.name)
            written.append(graph.write(file, network, model.image_shape, describe(model, of_file)))
            agreement = compare(graph.load(file), network, model)
            size = sum(file.stat().st_size for file in written[-1])
            say(f"{path.name}: {size / 1e6:.1f} MB, against PyTorch: {agreement}")
            if not agreement.is_good():
                raise RuntimeError(
                    f"The exported graph must agree with PyTorch to {LARGEST_DIFFERENCE} of the logits' spread and "
                    f"in {LEAST_EQUAL_LABELS:.1%} of labels, got: {agreement}. Nothing was written; try the other --to."
                )
            exported.append(Exported(path, of_file, size, agreement))
        _give_names(written, folder)
    return exported


def _targets(model: TrainedModel, to: str, output: Path, *, average: bool) -> list[tuple[Path, Folds]]:
    """The files to write and the folds of each."""
    suffix = GRAPHS[to].SUFFIX
    parts = [model.folds] if average else [(fold,) for fold in model.folds]
    if output.is_dir() or output.suffix not in {".bin", *(graph.SUFFIX for graph in GRAPHS.values())}:
        return [(output / f"{model.name}__fold_{'_'.join(map(str, folds))}{suffix}", folds) for folds in parts]
    if output.suffix != suffix:
        raise ValueError(f"output (-o) must end in {suffix} for --to {to}, got {output}. Give that, or a folder.")
    if len(parts) > 1:
        raise ValueError(f"output (-o) must be a folder for the files of --apart, got {output}. Give a folder.")
    return [(output, parts[0])]


def _give_names(written: list[list[Path]], folder: Path) -> None:
    """Moves whole files into place, all or none."""
    named: list[Path] = []
    try:
        for files in written:
            if len(files) > 1:  # an old model must not stand beside new weights, not even for a moment
                (folder / files[-1].name).unlink(missing_ok=True)
            for file in files:
                os.replace(file, folder / file.name)
                named.append(folder / file.name)
    except BaseException:
        for file in named:
            file.unlink(missing_ok=True)
        raise
