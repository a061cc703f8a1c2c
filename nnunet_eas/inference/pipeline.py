"""Reading, predicting and writing at the same time, a case each; what goes wrong with one case stays with it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nnunetv2.inference.export_prediction import export_prediction_from_logits
from nnunetv2.utilities.label_handling.label_handling import convert_labelmap_to_one_hot

from nnunet_eas.inference.batched_predictor import BatchedPredictor
from nnunet_eas.inference.engines import Engine, forwards_of
from nnunet_eas.inference.scan_files import ScanFiles
from nnunet_eas.inference.trained_model import TrainedModel
from nnunet_eas.support.files import replacing
from nnunet_eas.support.image_checks import check_image


def predict_cases(
    model: TrainedModel,
    predictor: BatchedPredictor,
    cases: Sequence[ScanFiles],
    output: Path,
    *,
    engine: Engine = "auto",
    save_probabilities: bool = False,
    readers: int = 1,
    writers: int = 1,
    say: Callable[[str], None] = lambda line: None,
) -> Iterator[tuple[str, str | None]]:
    """Predicts the cases and writes a mask for each into an existing folder, under a temporary name first.

    While one case is predicted the next are read and those before are written, in threads of this process: no more than
    `readers` + 1 + `writers` cases are in memory, however many there are. The engine is chosen, and named to `say`,
    once the first scan has been read, which shows how much there is to predict.

    Yields:
        Each case's name with its fault, None where it was predicted, in the cases' order and as soon as it is known.
    """
    with ThreadPoolExecutor(readers) as reader, ThreadPoolExecutor(writers) as writer:
        submitted = ((case, reader.submit(_read, predictor, case)) for case in cases)
        reads, writes = deque(islice(submitted, readers)), deque[tuple[str, Future[None]]]()
        while reads:
            case, read = reads.popleft()
            reads.extend(islice(submitted, 1))
            written: Future[None] = Future()
            try:
                data, properties = read.result()
            except Exception as error:  # any library may raise anything of a broken file; the other cases go on
                written.set_exception(error)
            else:
                if not predictor.forwards:
                    images = predictor.images_in(data) * len(cases)
                    predictor.forwards, chosen = forwards_of(model, predictor.device, engine, images)
                    folds = f"fold{'s' if len(model.folds) > 1 else ''} {' '.join(map(str, model.folds))}"
                    say(f"{model.name}, {folds}: {chosen}")
                try:
                    logits = predictor.predict_logits_from_preprocessed_data(data)
                    written = writer.submit(_write, predictor, case, logits, properties, output, save_probabilities)
                except Exception as error:
                    written.set_exception(error)
            del read
            writes.append((case.identifier, written))
            if len(writes) > writers:
                name, written = writes.popleft()
                yield name, _fault(written)
        for name, written in writes:
            yield name, _fault(written)


def _read(predictor: BatchedPredictor, case: ScanFiles) -> tuple[torch.Tensor, dict[str, Any]]:
    """The case as the network takes it, and what nnU-Net needs to write the mask, by its preprocessing."""
    for image in case.images:
        check_image(image, is_scan=True)
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
    endings = [predictor.dataset_json["file_ending"], *([".pkl", ".npz"] if save_probabilities else [])]
    with ExitStack() as stack:  # names the files in reverse order, the mask last: it says that all is there
        files = [stack.enter_context(replacing(output / f"{case.identifier}{ending}")) for ending in endings]
        export_prediction_from_logits(
            logits.numpy(),
            properties,
            predictor.configuration_manager,
            predictor.plans_manager,
            predictor.dataset_json,
            str(files[0]).removesuffix(endings[0]),  # nnU-Net appends the endings
            save_probabilities,
            num_threads_torch=1,
        )


def _fault(written: Future[None]) -> str | None:
    try:
        written.result()
    except Exception as error:
        # the libraries' messages have several lines, the last of which says most
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        return lines[-1] if lines else type(error).__name__
    return None
