"""Prediction with the best configuration or ensemble of a cross-validation, and its postprocessing."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import SimpleITK as sitk
from nnunetv2.postprocessing.remove_connected_components import load_postprocess_save
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from nnunet_eas.crossval.best import read_best
from nnunet_eas.crossval.dataset import find_dataset
from nnunet_eas.crossval.fold import Model
from nnunet_eas.inference.engines import Engine
from nnunet_eas.inference.predict import Prediction, predict, without_faults
from nnunet_eas.inference.scan_files import Scan
from nnunet_eas.support.errors import PartialSuccess
from nnunet_eas.support.files import read_json
from nnunet_eas.support.nnunet_commands import call
from nnunet_eas.support.safe_pickle import Postprocessing, read_postprocessing


def predict_best(
    scans: Scan | Sequence[Scan],
    dataset: str,
    output: str | Path | None = None,
    *,
    device: str = "auto",
    engine: Engine = "auto",
    mirroring: bool = True,
    trust: bool = False,
    progress: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> list[Prediction]:
    """Predicts scans with what `nnunet-eas crossval` (or nnUNetv2_find_best_configuration) found best.

    These are all folds of the chosen model or models, their ensemble, and the postprocessing. The masks are those of
    nnU-Net's own commands, one after the other.

    Args:
        scans: A folder with CASE_0000.nii.gz and so on; or one case: a file or a SimpleITK image, or a list of them,
            one for each channel.
        dataset: The dataset's name or id.
        output: Folder for the masks, CASE.nii.gz, and dataset.json. None returns the masks in memory.
        device: "cuda", "cpu" or "mps"; "auto" takes a GPU where there is one.
        engine: What runs the networks, as for `predict`.
        mirroring: Averages the views that the training mirrored; without it prediction is faster and less accurate.
        trust: Load checkpoints as nnU-Net does, whatever that runs.
        progress: Shows a bar for each model on a terminal.
        say: Gets a line for each model, which names the engine that was chosen.

    Returns:
        A prediction for each case, in the order of their names.

    Raises:
        PartialSuccess: Some scans could not be predicted. All others were: they are its `result`.
        FileNotFoundError: The scans do not exist, or no cross-validation has been finished.
        RuntimeError: nnUNet_results is not set, the device does not exist, or a command of nnU-Net failed.

    Example:
        >>> from nnunet_eas import predict_best
        >>> masks = predict_best("new_scans", "500", "masks_of_best_by_api")
        >>> masks[0].file.is_file()
        True
    """
    results = find_dataset(dataset).results
    best = read_best(results)
    postprocessing = read_postprocessing(best.postprocessing)
    target = None if output is None else Path(output)
    faults: dict[str, str] = {}

    def predict_into(work: Path, model: Model) -> Path:
        """One model's masks in a folder below `work`, a cascade's first stage before its second one."""
        previous = _previous_stage(results / model.name, model.configuration)
        folder = work / model.name
        try:
            predict(
                scans,
                results / model.name,
                folder,
                folds=best.folds,
                previous_stage=None if previous is None else predict_into(work, model._replace(configuration=previous)),
                device=device,
                engine=engine,
                mirroring=mirroring,
                trust=trust,
                save_probabilities=len(best.models) > 1,
                progress=progress,
                say=say,
            )
        except PartialSuccess as partial:
            for name, reason in partial.faults.items():
                faults.setdefault(name, reason)  # a cascade's second stage only misses what its first one left out
            if not partial.result:
                without_faults([], faults)
        return folder

    if target is not None:
        target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".partial_", dir=target) as work:
        predicted = [predict_into(Path(work), model) for model in best.models]
        for folder in predicted:  # an ensemble needs all members of a case
            for name in faults:
                (folder / f"{name}.npz").unlink(missing_ok=True)
        dataset_json = predicted[0] / "dataset.json"
        ending = read_json(dataset_json, "dataset.json")["file_ending"]
        predictions = []
        masks = predicted[0] if len(predicted) == 1 else _ensemble(predicted, Path(work), target)
        finished = Path(work, "postprocessed")
        _postprocess(sorted(masks.glob(f"*{ending}")), finished, best.plans_file, postprocessing)
        for mask in sorted(finished.glob(f"*{ending}")):
            name = mask.name.removesuffix(ending)
            if target is None:
                predictions.append(Prediction(name, mask=sitk.ReadImage(str(mask))))
            else:
                predictions.append(Prediction(name, file=mask.replace(target / mask.name)))
        if target is not None:
            dataset_json.replace(target / "dataset.json")
    return without_faults(predictions, faults)


def _previous_stage(model: Path, configuration: str) -> str | None:
    """The configuration whose masks a cascade's second stage is given."""
    return PlansManager(str(model / "plans.json")).get_configuration(configuration).previous_stage_name


def _ensemble(predicted: Sequence[Path], work: Path, target: Path | None) -> Path:
    """The folder of the masks of several models' mean probabilities, by nnU-Net's command."""
    log = Path(target or tempfile.gettempdir(), f"predict_best_{os.getpid()}.txt")  # not in `work`: errors point to it
    call(["nnUNetv2_ensemble", "-i", *map(str, predicted), "-o", str(work / "ensemble")], log)
    log.unlink()
    return work / "ensemble"


def _postprocess(masks: Sequence[Path], target: Path, plans_file: Path, postprocessing: Postprocessing) -> None:
    """Writes postprocessed masks, by nnU-Net's functions."""
    reader = PlansManager(str(plans_file)).image_reader_writer_class()
    target.mkdir()
    for mask in masks:
        load_postprocess_save(str(mask), str(target / mask.name), reader, *postprocessing)
