"""Reading, predicting and writing at the same time, a case each; what goes wrong with one case stays with it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nnunetv2.inference.export_prediction import export_prediction_from_logits
from nnunetv2.utilities.label_handling.label_handling import convert_labelmap_to_one_hot

from nnunet_eas.inference.batched_predictor import BatchedPredictor
from nnunet_eas.support.whole_nifti import check_whole


@dataclass(frozen=True)
class ScanFiles:
    """One case.

    Attributes:
        identifier: Its name, without channel and ending.
        images: One file for each channel.
        previous_stage: The mask of a cascade's first stage.
    """

    identifier: str
    images: tuple[Path, ...]
    previous_stage: Path | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of a case: `error` is None where its mask is written."""

    case: ScanFiles
    error: str | None = None


def predict_cases(
    predictor: BatchedPredictor, cases: Sequence[ScanFiles], output: Path, *, save_probabilities: bool = False
) -> Iterator[Outcome]:
    """Predicts the cases in their order and writes a mask for each, under a temporary name first.

    While one case is predicted the next is read and the one before is written, in threads of this process: no more than
    three cases are in memory, however many there are.

    Args:
        predictor: With its networks.
        cases: What to predict.
        output: An existing folder.
        save_probabilities: Write them as nnU-Net does, NAME.npz and NAME.pkl.

    Yields:
        An outcome for each case, in their order, as soon as it is known.
    """
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
        read: Future[tuple[torch.Tensor, dict[str, Any]]] | None = None
        written: tuple[ScanFiles, Future[None]] | None = None
        for case, following in zip(cases, [*cases[1:], None], strict=True):
            read = read or reader.submit(_read, predictor, case)
            current, read = read, None
            try:
                data, properties = current.result()
                read = reader.submit(_read, predictor, following) if following else None
                logits = predictor.predict_logits_from_preprocessed_data(data)
            except Exception as error:
                # any library may raise anything of a broken file; this case is named, and the others go on
                read = read or (reader.submit(_read, predictor, following) if following else None)
                if written:
                    yield _outcome(*written)
                    written = None
                yield Outcome(case, _said(error))
                continue
            if written:
                yield _outcome(*written)
            written = (case, writer.submit(_write, predictor, case, logits, properties, output, save_probabilities))
        if written:
            yield _outcome(*written)


def _read(predictor: BatchedPredictor, case: ScanFiles) -> tuple[torch.Tensor, dict[str, Any]]:
    """The case as the network takes it, by nnU-Net's preprocessing."""
    for image in case.images:
        check_whole(image)
    preprocessor = predictor.configuration_manager.preprocessor_class(verbose=predictor.verbose_preprocessing)
    data, previous, properties = preprocessor.run_case(
        [str(image) for image in case.images],
        None if case.previous_stage is None else str(case.previous_stage),
        predictor.plans_manager,
        predictor.configuration_manager,
        predictor.dataset_json,
    )
    for file, channel in zip(case.images, data, strict=True):
        if not np.isfinite(channel).all() or channel.min() == channel.max():
            raise ValueError(f"{file.name} must hold a scan, got {channel.flat[0]:g} in every voxel, or no numbers.")
    if case.previous_stage is not None:
        labels = predictor.label_manager.foreground_labels
        data = np.vstack((data, convert_labelmap_to_one_hot(previous[0], labels, data.dtype)))
    return torch.from_numpy(data), properties


def _write(
    predictor: BatchedPredictor,
    case: ScanFiles,
    logits: torch.Tensor,
    properties: dict[str, Any],
    output: Path,
    save_probabilities: bool,
) -> None:
    """The mask on the scan's own grid, by nnU-Net's export."""
    ending = predictor.dataset_json["file_ending"]
    partial = output / f".partial_{case.identifier}"  # nnU-Net appends the endings
    endings = [".npz", ".pkl", ending] if save_probabilities else [ending]  # the mask last: it says that all is there
    try:
        export_prediction_from_logits(
            logits.numpy(),
            properties,
            predictor.configuration_manager,
            predictor.plans_manager,
            predictor.dataset_json,
            str(partial),
            save_probabilities,
            num_threads_torch=1,
        )
        for of_file in endings:
            os.replace(f"{partial}{of_file}", output / f"{case.identifier}{of_file}")
    finally:
        for of_file in endings:
            Path(f"{partial}{of_file}").unlink(missing_ok=True)


def _outcome(case: ScanFiles, done: Future[None]) -> Outcome:
    try:
        done.result()
    except Exception as error:
        return Outcome(case, _said(error))
    return Outcome(case)


def _said(error: Exception) -> str:
    """One line; the libraries' messages go over several, the last of which says most."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
