"""Packed files back into folders that nnU-Net's commands take."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tqdm import tqdm

from nnunet_eas.crossval.best import FILE
from nnunet_eas.inference.packed_file import (
    CARD,
    DATASET,
    PLANS,
    POSTPROCESSING,
    PackedFile,
    PackedModel,
    open_packed,
)
from nnunet_eas.inference.packed_model import write_model
from nnunet_eas.sharing.postprocessing import from_json
from nnunet_eas.support.errors import shown
from nnunet_eas.support.files import PARTIAL, write_json
from nnunet_eas.support.outputs import check_output_folder
from nnunet_eas.support.safe_pickle import write_postprocessing


def unpack(
    file: str | Path,
    output: str | Path,
    *,
    trust: bool = False,
    progress: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> list[Path]:
    """Restores the models of a packed file in a new folder, which is laid out as a dataset's folder in nnUNet_results.

    Nothing in the file is run, nothing is written outside the folder, and there is no folder where the file is damaged.
    Every member is compared with the manifest.

    Args:
        file: A file of `pack`.
        output: The new folder. As DatasetXXX_NAME in nnUNet_results, nnU-Net's commands find the models by the
            dataset's id, and `predict_best` a best configuration with its postprocessing.
        trust: Accept plans that name classes outside of torch.nn, dynamic_network_architectures and nnunet_eas.
        progress: Shows a bar on a terminal.
        say: Gets a line for each model.

    Returns:
        The folders of the models, TRAINER__PLANS__CONFIGURATION; those of an ensemble first.

    Raises:
        FileNotFoundError: There is no such file.
        FileExistsError: There is something named as the folder.
        ValueError: The file is no packed file, is damaged, breaks a rule that keeps this machine safe, or names other
            classes without `trust`.

    Example:
        >>> import os
        >>> from nnunet_eas import pack, unpack
        >>> file = pack(os.environ["MODEL"], "model_of_api.nnunet.zip")  # a trained model's folder
        >>> (model,) = unpack(file, "unpacked_by_api")
        >>> (model / "plans.json").is_file()
        True
    """
    output = Path(output)
    if output.exists() or output.is_symlink():
        raise FileExistsError(f"output (-o) must be a new folder, got {output}, which exists. Give another name.")
    check_output_folder(output.parent, "output (-o)")
    with open_packed(file) as packed, _new_folder(output) as folder:
        total = sum(len(model.folds) for model in packed.models)
        with tqdm(total=total, desc="folds", disable=None if progress else True) as bar:
            for model in packed.models:
                say(f"{model.name}, fold {', '.join(map(str, model.folds))}")
                write_model(packed, model, folder / model.name, trust=trust, done=bar.update)
        if packed.content.get("best") is not None:
            _write_best(packed, folder, output.name)
        (folder / CARD).write_bytes(packed.read(CARD))
        return [output / model.name for model in packed.models]


@contextmanager
def _new_folder(output: Path) -> Iterator[Path]:
    """A temporary folder that gets its name at the end of the block; where the block raises, it is removed."""
    temporary = output.parent / f"{PARTIAL}{os.getpid()}_{output.name}"
    temporary.mkdir()
    try:
        yield temporary
        temporary.rename(output)
    except BaseException:
        shutil.rmtree(temporary)
        raise


def _write_best(packed: PackedFile, folder: Path, dataset: str) -> None:
    """Writes what nnUNetv2_find_best_configuration wrote, with its files in the places where it has them."""
    chosen, folds, dice = _checked_best(packed)
    if not packed.has(POSTPROCESSING):
        raise packed.refuse("hold the postprocessing of its best configuration", "none")
    try:
        postprocessing = from_json(packed.read_json(POSTPROCESSING))
    except ValueError as error:
        raise packed.refuse("hold nnU-Net's postprocessing", shown(str(error))) from error
    suffix = "_".join(map(str, folds))
    place = Path(chosen[0].name, f"crossval_results_folds_{suffix}")
    if len(chosen) > 1:
        place = Path("ensembles", "___".join(["ensemble", *(model.name for model in chosen), suffix]))
    (folder / place).mkdir(parents=True)
    write_postprocessing(folder / place / "postprocessing.pkl", postprocessing)
    for name in (PLANS, DATASET):
        (folder / place / name).write_bytes(packed.read(f"{chosen[0].name}/{name}"))
    information = {
        "dataset_name_or_id": dataset,
        "considered_models": [
            {"plans": model.plans, "configuration": model.configuration, "trainer": model.trainer} for model in chosen
        ],
        "ensembling_allowed": len(chosen) > 1,
        "all_results": {},
        "folds": folds,
        "best_model_or_ensemble": {
            "result_on_crossval_post_pp": dice,
            "postprocessing_file": (place / "postprocessing.pkl").as_posix(),  # relative to this file's folder
            "some_plans_file": (place / PLANS).as_posix(),
            "selected_model_or_models": [
                {"configuration": model.configuration, "trainer": model.trainer, "plans_identifier": model.plans}
                for model in chosen
            ],
        },
    }
    write_json(folder / FILE, information)


def _checked_best(packed: PackedFile) -> tuple[list[PackedModel], list[int], float | None]:
    """The models of the best configuration, their folds, and their Dice."""
    best: Any = packed.content["best"]
    models = {model.name: model for model in packed.models}
    try:
        chosen, folds, dice = [models[name] for name in best["models"]], best["folds"], best["dice"]
        is_sound = 0 < len(set(chosen)) == len(chosen) and all(type(fold) is int for fold in folds)
        is_sound = is_sound and all(model.folds == tuple(folds) for model in packed.models)
        is_sound = is_sound and (dice is None or (isinstance(dice, float) and math.isfinite(dice)))
    except (KeyError, TypeError):
        is_sound = False
    if not is_sound:
        raise packed.refuse("name the models, folds and Dice of its best configuration", shown(best))
    return chosen, folds, dice
