"""Trained models into one file that runs nothing when it is read."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import safetensors.torch
from tqdm import tqdm

from nnunet_eas.crossval.best import Best, read_best
from nnunet_eas.crossval.dataset import find_dataset
from nnunet_eas.crossval.fold import Model
from nnunet_eas.inference.packed_file import (
    CARD,
    DATASET,
    DESCRIPTION,
    FINGERPRINT,
    FORMAT,
    PLANS,
    POSTPROCESSING,
    WEIGHTS,
)
from nnunet_eas.inference.packed_model import CHECKPOINT
from nnunet_eas.plans.named_classes import check_named_classes
from nnunet_eas.sharing.archive import Archive, new_archive
from nnunet_eas.sharing.model_card import model_card
from nnunet_eas.sharing.model_files import ModelFiles, read_model, separated
from nnunet_eas.sharing.postprocessing import to_json
from nnunet_eas.support.outputs import check_output_file
from nnunet_eas.support.safe_pickle import Postprocessing, read_postprocessing

SUFFIX = ".nnunet.zip"


def pack(
    model: str | Path | None,
    output: str | Path,
    *,
    dataset: str | None = None,
    folds: Sequence[int | str] | None = None,
    checkpoint: str = CHECKPOINT,
    license: str | None = None,
    intended_use: str | None = None,
    trust: bool = False,
    progress: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> Path:
    """Writes a trained model of nnU-Net, of any trainer, into one file: weights, plans, a model card.

    The file holds no pickle and no names of cases. The same model gives the same bytes. `unpack` restores the folder
    that nnU-Net's commands take, and `predict` takes the file as it is.

    Args:
        model: A trained model's folder, TRAINER__PLANS__CONFIGURATION; None where `dataset` is given.
        output: The file, ending in .nnunet.zip; one of that name is replaced.
        dataset: A dataset's name or id, in place of `model`: its best configuration or ensemble, as crossval found it,
            with a cascade's first stage and the postprocessing.
        folds: Numbers, or "all"; None takes all that are trained. Of `model` only.
        checkpoint: The file in each fold's folder. Of `model` only.
        license: SPDX id of the license for the model card, as Apache-2.0; None says that it is not stated.
        intended_use: What the model is for, for the model card; None says that it is not stated.
        trust: Load checkpoints as nnU-Net does, whatever that runs.
        progress: Shows a bar on a terminal.
        say: Gets a line for each model, and one where the receiver will have to trust the file.

    Returns:
        The file.

    Raises:
        FileNotFoundError: There is no model, or no cross-validation has been finished.
        ValueError: An argument breaks one of the rules above, or a checkpoint is damaged or would run something.
        RuntimeError: A checkpoint holds another network than the plans, or nnUNet_results is not set.

    Example:
        >>> import os
        >>> from nnunet_eas import pack
        >>> pack(os.environ["MODEL"], "packed_by_api.nnunet.zip", license="CC-BY-4.0").name  # a trained model's folder
        'packed_by_api.nnunet.zip'
    """
    output = Path(output)
    _check(model, output, dataset, folds, checkpoint, license)
    check_output_file(output, "output (-o)")
    best: dict[str, Any] | None = None
    postprocessing: Postprocessing | None = None
    if dataset is not None:
        results = find_dataset(dataset).results
        found = read_best(results)
        postprocessing = read_postprocessing(found.postprocessing)
        models = _models_of_best(results, found, trust=trust)
        dice = None if math.isnan(found.dice) else found.dice
        best = {"models": [of.name for of in found.models], "folds": list(found.folds), "dice": dice}
    else:
        assert model is not None
        models = [read_model(Path(model), folds, checkpoint, trust=trust)]
    card = model_card(models, best, license=license, intended_use=intended_use)
    bar = tqdm(total=sum(len(of.checkpoints) for of in models), desc="folds", disable=None if progress else True)
    with bar, new_archive(output) as archive:
        archive.add(CARD, card.encode())
        for of in models:
            say(f"{of.packed.name}, fold {', '.join(map(str, of.packed.folds))}")
            _tell_foreign_classes(of, say)
            _add_model(archive, of, bar.update)
        if postprocessing is not None:
            archive.add_json(POSTPROCESSING, to_json(postprocessing))
        archive.add_manifest(_manifest(models, best))
    return output


def _check(
    model: str | Path | None,
    output: Path,
    dataset: str | None,
    folds: Sequence[int | str] | None,
    checkpoint: str,
    license: str | None,
) -> None:
    """Finds faults of the arguments before the model is read."""
    if (model is None) == (dataset is None):
        got = "neither" if model is None else "both"
        raise ValueError(f"the model must be given as a folder (MODEL) or as a dataset (-d), got {got}. Give one.")
    if dataset is not None and (folds or checkpoint != CHECKPOINT):
        got = "checkpoint (-chk)" if not folds else "folds (-f)"
        raise ValueError(
            f"a dataset (-d) must be given without -f and -chk, which it decides, got {got}. Leave it out."
        )
    if not output.name.endswith(SUFFIX):
        raise ValueError(f"output (-o) must end in {SUFFIX}, got {output}. Give such a name.")
    if license is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.+-]*", license):
        raise ValueError(f"license (--license) must be an SPDX id, got {license}. Give one as Apache-2.0 or CC-BY-4.0.")


def _models_of_best(results: Path, best: Best, *, trust: bool) -> list[ModelFiles]:
    """The models of the best configuration or ensemble, and behind them the first stages of cascades."""
    wanted, models = list(best.models), []
    for one in wanted:  # grows while it is gone through
        of = read_model(results / one.name, best.folds, CHECKPOINT, trust=trust)
        if of.packed.name != one.name:
            raise ValueError(
                f"a model's folder must be named after what it holds, got {of.packed.name} in {results / one.name}. "
                "Restore the folder of the training."
            )
        models.append(of)
        previous = of.configuration.previous_stage_name
        first_stage = None if previous is None else Model(one.trainer, one.plans, previous)
        if first_stage is not None and first_stage not in wanted:
            wanted.append(first_stage)
    return models


def _tell_foreign_classes(model: ModelFiles, say: Callable[[str], None]) -> None:
    try:
        check_named_classes(model.plans, model.folder / PLANS)
    except ValueError:
        say("note: the plans name classes of other packages, for which unpack and predict will ask for --trust")


def _add_model(archive: Archive, model: ModelFiles, done: Callable[[], object]) -> None:
    folder, of = model.packed.name, model.packed
    archive.add_json(f"{folder}/{PLANS}", model.plans)
    archive.add_json(f"{folder}/{DATASET}", model.dataset)
    if model.fingerprint is not None:
        archive.add_json(f"{folder}/{FINGERPRINT}", model.fingerprint)
    for fold, checkpoint in model.checkpoints.items():
        weights, shared = separated(checkpoint["network_weights"], model.folder / f"fold_{fold}")
        axes, epoch = checkpoint.get("inference_allowed_mirroring_axes"), checkpoint.get("current_epoch")
        described = {
            "trainer_name": of.trainer,
            "configuration": of.configuration,
            "fold": fold,
            "current_epoch": None if epoch is None else int(epoch),
            "inference_allowed_mirroring_axes": None if axes is None else [int(axis) for axis in axes],
            "shared": shared,
        }
        archive.add_json(f"{folder}/fold_{fold}/{DESCRIPTION}", described)
        # of several entries safetensors would write the metadata in any order
        content = safetensors.torch.save(weights, metadata={"format": "pt"})
        archive.add(f"{folder}/fold_{fold}/{WEIGHTS}", content)
        done()


def _manifest(models: Sequence[ModelFiles], best: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "dataset": models[0].plans["dataset_name"],
        "models": [
            {
                "name": of.packed.name,
                "trainer": of.packed.trainer,
                "plans": of.packed.plans,
                "configuration": of.packed.configuration,
                "folds": list(of.packed.folds),
            }
            for of in models
        ],
        "ensemble": best is not None and len(best["models"]) > 1,
        "best": best,
        "postprocessing": None if best is None else POSTPROCESSING,
    }
