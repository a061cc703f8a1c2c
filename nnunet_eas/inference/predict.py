"""Prediction of scans with a trained model of nnU-Net, in one process."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import SimpleITK as sitk
import torch
from tqdm import tqdm

from nnunet_eas.cpu import keep_freed_memory
from nnunet_eas.inference.batched_predictor import BatchedPredictor
from nnunet_eas.inference.engines import Engine
from nnunet_eas.inference.pipeline import predict_cases
from nnunet_eas.inference.quiet import quiet
from nnunet_eas.inference.scan_files import Scan, find_cases
from nnunet_eas.inference.trained_model import TrainedModel, load_trained_model
from nnunet_eas.support.device import choose_device
from nnunet_eas.support.errors import PartialSuccess, printable
from nnunet_eas.support.files import write_text


@dataclass(frozen=True)
class Prediction:
    """The mask of one case, on the scan's own grid.

    Attributes:
        identifier: The case's name; "scan" for an image in memory.
        mask: The mask in memory; None where it was written to a file.
        file: The mask's file; None where it is in memory.
    """

    identifier: str
    mask: sitk.Image | None = None
    file: Path | None = None


def predict(
    scans: Scan | Sequence[Scan],
    model: str | Path | TrainedModel,
    output: str | Path | None = None,
    *,
    folds: Sequence[int | str] | None = None,
    checkpoint: str = "checkpoint_final.pth",
    previous_stage: Scan | None = None,
    device: str = "auto",
    engine: Engine = "auto",
    mirroring: bool = True,
    step_size: float = 0.5,
    batch: int | None = None,
    sum_on_device: bool = True,
    readers: int | None = None,
    writers: int | None = None,
    save_probabilities: bool = False,
    continue_prediction: bool = False,
    part_id: int = 0,
    num_parts: int = 1,
    trust: bool = False,
    verbose: bool = False,
    progress: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> list[Prediction]:
    """Predicts scans with a trained model of nnU-Net; the masks are those of `nnUNetv2_predict`.

    Patches and mirrored views go through the network together; reading, predicting and writing overlap.

    Args:
        scans: A folder with the files CASE_0000.nii.gz and so on (`file_ending` of dataset.json), all of which are
            predicted. Or one case: a file or a SimpleITK image, or a list of them, one for each channel.
        model: A trained model's folder, TRAINER__PLANS__CONFIGURATION, a file of `pack`, or a model that
            `load_trained_model` gave.
        output: Folder for the masks, CASE.nii.gz, made where it is missing. None returns the masks in memory.
        folds: Numbers, or "all"; None takes all that are trained. Not used for a loaded model.
        checkpoint: The file in each fold's folder. Not used for a loaded model.
        previous_stage: A cascade's first masks: their folder, or for one case the mask's file or image.
        device: "cuda", "cpu" or "mps"; "auto" takes a GPU where there is one.
        engine: What runs the networks: "torch", "openvino", "openvino-bf16", or "auto": on a CPU OpenVINO, if it is
            installed, gives PyTorch's labels, and repays its start.
        mirroring: Averages the views that the training mirrored; without it prediction is faster and less accurate.
        step_size: Of the sliding window, in patches: above 0, at most 1.
        batch: Patches in a pass; None chooses by the free memory.
        sum_on_device: Sums the logits in the GPU's memory, as far as that suffices, not in the CPU's.
        readers: Scans that are read and preprocessed at a time; None: one on a CPU, three on a GPU, as nnU-Net does.
        writers: Masks that are resampled and written at a time; None as for `readers`.
        save_probabilities: Writes NAME.npz and NAME.pkl for nnUNetv2_ensemble, too.
        continue_prediction: Leaves out the cases whose masks are in `output` already.
        part_id: Which of several calls that share the cases this is, from 0.
        num_parts: How many such calls there are.
        trust: Load checkpoints as nnU-Net does, whatever that runs.
        verbose: Prints what nnU-Net's predictor prints.
        progress: Shows a bar on a terminal.
        say: Gets a line that names the model and the engine that was chosen.

    Returns:
        A prediction for each case, in the order of their names.

    Raises:
        PartialSuccess: Some scans could not be predicted. All others were: they are its `result`.
        FileNotFoundError: The scans or the model do not exist.
        ValueError: An argument breaks one of the rules above, or the model's files are damaged.
        RuntimeError: The device does not exist, or nnU-Net can't build the model.
        ModuleNotFoundError: The engine is not installed.

    Example:
        >>> import os
        >>> from nnunet_eas import predict
        >>> predictions = predict("new_scans", os.environ["MODEL"], engine="torch")  # a trained model's folder
        >>> predictions[0].mask.GetDimension()
        3
    """
    device = choose_device(device)
    arguments = {name: value for name, value in locals().items() if name != "say"}
    _check(output, engine, step_size, batch, part_id, num_parts, save_probabilities or continue_prediction)
    if not isinstance(model, TrainedModel):
        model = load_trained_model(model, folds, checkpoint, trust=trust)
    previous = model.configuration.previous_stage_name
    if previous is not None and previous_stage is None:
        raise ValueError(
            f"previous_stage (-prev_stage_predictions) must be given for {model.configuration_name}, got nothing. "
            f"Predict with {previous} first, and give its masks."
        )
    with tempfile.TemporaryDirectory(prefix="nnunet_eas_") as work:
        ending, channels = model.dataset_json["file_ending"], len(model.channel_names)
        cases, faults = find_cases(scans, previous_stage, Path(work), file_ending=ending, channels=channels)
        cases, faults = cases[part_id::num_parts], dict(list(faults.items())[part_id::num_parts])
        folder = Path(work, "masks") if output is None else Path(output)
        folder.mkdir(parents=True, exist_ok=True)
        if continue_prediction:
            endings = [ending, ".npz"] if save_probabilities else [ending]
            cases = [case for case in cases if not all((folder / f"{case.identifier}{e}").is_file() for e in endings)]
        predictor = _predictor(
            model,
            torch.device(device),
            sum_on_device=sum_on_device,
            patches_at_once=batch,
            autocast_dtype=model.autocast_dtype,
            tile_step_size=step_size,
            use_mirroring=mirroring,
            verbose=verbose,
            verbose_preprocessing=verbose,
        )
        if output is not None:  # what postprocessing and ensembling need, and the arguments, as nnU-Net does
            plans = model.plans_manager.plans
            described = {"predict_from_raw_data_args": arguments, "dataset": model.dataset_json, "plans": plans}
            for name, content in described.items():
                write_text(folder / f"{name}.json", json.dumps(content, indent=4, default=_plain))
        at_a_time = 1 if device == "cpu" else 3
        outcomes = predict_cases(
            *(model, predictor, cases, folder),
            engine=engine,
            save_probabilities=save_probabilities,
            readers=max(1, at_a_time if readers is None else readers),
            writers=max(1, at_a_time if writers is None else writers),
            say=say,
        )
        predictions = []
        for name, fault in tqdm(outcomes, total=len(cases), desc="cases", disable=None if progress else True):
            file = folder / f"{name}{ending}"
            if fault:
                faults[name] = fault
            elif output is None:
                predictions.append(Prediction(name, mask=sitk.ReadImage(str(file))))
            else:
                predictions.append(Prediction(name, file=file))
    return without_faults(predictions, faults)


def without_faults(predictions: list[Prediction], faults: dict[str, str]) -> list[Prediction]:
    """The predictions, where no scan was faulty; raises `PartialSuccess` otherwise."""
    if not faults:
        return predictions
    names = ", ".join(map(printable, faults))
    raise PartialSuccess(
        f"scans (-i) must be sound, got faulty ones: {names}. Fix the named faults and predict again.",
        predictions,
        faults,
    )


def _check(
    output: str | Path | None,
    engine: str,
    step_size: float,
    batch: int | None,
    part_id: int,
    num_parts: int,
    needs_output: bool,
) -> None:
    """Finds faults of the arguments before the model is loaded."""
    if engine not in get_args(Engine):
        raise ValueError(f"engine (--engine) must be one of {', '.join(get_args(Engine))}, got {engine}. Give auto.")
    if not 0 < step_size <= 1:
        raise ValueError(f"step_size (-step_size) must be above 0 and at most 1, got {step_size}. nnU-Net's is 0.5.")
    if not 0 <= part_id < num_parts:
        raise ValueError(f"part_id (-part_id) must be from 0 to num_parts - 1, got {part_id} of {num_parts}.")
    if batch is not None and batch < 1:
        raise ValueError(f"batch (--batch) must be at least 1, got {batch}. Give a number of patches.")
    if output is None and needs_output:
        raise ValueError("output must be a folder for save_probabilities and continue_prediction, got None. Give one.")
    if output is not None and Path(output).exists() and not Path(output).is_dir():
        raise NotADirectoryError(f"output (-o) must be a folder, got the file {output}. Give another name.")


def _predictor(model: TrainedModel, device: torch.device, *, sum_on_device: bool, **options: Any) -> BatchedPredictor:
    """nnU-Net's predictor, still without an engine."""
    if device.type == "cpu":
        keep_freed_memory()
    with quiet():  # nnU-Net says on every CPU that it is no GPU
        on_device = sum_on_device and device.type == "cuda"
        predictor = BatchedPredictor(perform_everything_on_device=on_device, device=device, allow_tqdm=False, **options)
    plans = model.plans_manager, model.configuration
    predictor.manual_initialization(
        model.networks[0], *plans, None, model.dataset_json, model.trainer_name, model.mirroring_axes
    )
    return predictor


def _plain(value: Any) -> str:
    """An argument that JSON does not know: a path, an image, a model."""
    return str(value) if isinstance(value, Path) else type(value).__name__
