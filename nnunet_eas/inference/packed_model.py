"""Models of packed files, written out as the folders that nnU-Net's commands take."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from nnunet_eas.inference.packed_file import (
    DATASET,
    DESCRIPTION,
    FINGERPRINT,
    PLANS,
    WEIGHTS,
    PackedFile,
    PackedModel,
    open_packed,
)
from nnunet_eas.plans.check import check_dataset, check_plans
from nnunet_eas.plans.named_classes import check_named_classes
from nnunet_eas.support.checkpoints import is_trusted
from nnunet_eas.support.errors import shown

CHECKPOINT = "checkpoint_final.pth"


def write_model(
    packed: PackedFile,
    model: PackedModel,
    folder: Path,
    *,
    folds: Sequence[int | str] | None = None,
    trust: bool = False,
    done: Callable[[], object] = lambda: None,
) -> None:
    """Writes a model as the folder of a trained model that nnU-Net's commands take.

    Args:
        packed: The open file.
        model: One of its models.
        folder: The model's folder, which is new.
        folds: Some of the model's folds; None for all.
        trust: Accept classes of any package in the plans.
        done: Called after each fold.
    """
    plans, dataset = (packed.read_json(f"{model.name}/{name}") for name in (PLANS, DATASET))
    if not is_trusted(trust):
        check_named_classes(plans, packed.path)
    try:
        check_plans(plans)
        check_dataset(dataset)
    except ValueError as error:
        raise packed.refuse("hold nnU-Net's plans and dataset.json", shown(str(error))) from error
    if plans["plans_name"] != model.plans or model.configuration not in plans["configurations"]:
        raise packed.refuse("hold the plans that its manifest names", f"others in {shown(model.name)}")
    if not re.fullmatch(r"(\.\w+)+", dataset["file_ending"], re.ASCII):  # it becomes a part of names of files
        raise packed.refuse("have masks with a plain ending", shown(dataset["file_ending"]))
    folder.mkdir(parents=True)
    for name in (PLANS, DATASET, FINGERPRINT):
        if packed.has(f"{model.name}/{name}"):
            (folder / name).write_bytes(packed.read(f"{model.name}/{name}"))
    for fold in model.folds if folds is None else folds:
        place = f"{model.name}/fold_{fold}"
        described = packed.read_json(f"{place}/{DESCRIPTION}")
        axes, epoch = described.get("inference_allowed_mirroring_axes"), described.get("current_epoch")
        named = described.get("trainer_name"), described.get("configuration")
        if named != (model.trainer, model.configuration) or not _are_axes(axes) or not isinstance(epoch, int | None):
            raise packed.refuse("describe checkpoints of its models", f"another {shown(place)}/{DESCRIPTION}")
        init_args = {
            "plans": plans,
            "configuration": model.configuration,
            "fold": fold,
            "dataset_json": dataset,
            "device": torch.device("cpu"),
        }
        checkpoint = {
            "network_weights": packed.read_weights(f"{place}/{WEIGHTS}", described.get("shared")),
            "current_epoch": epoch,
            "init_args": init_args,
            "trainer_name": model.trainer,
            "inference_allowed_mirroring_axes": None if axes is None else tuple(axes),
        }
        (folder / f"fold_{fold}").mkdir()
        torch.save(checkpoint, folder / f"fold_{fold}" / CHECKPOINT)
        done()


@contextmanager
def unpacked(
    path: Path, folds: Sequence[int | str] | None, checkpoint_name: str, *, trust: bool = False
) -> Iterator[Path]:
    """A model's folder, as nnU-Net takes it, with the wanted folds of a packed file; removed afterwards."""
    if checkpoint_name != CHECKPOINT:
        raise ValueError(
            f"checkpoint (-chk) must be {CHECKPOINT} for a packed file, which has one for each fold, got "
            f"{checkpoint_name}. Leave it out."
        )
    # Windows cannot remove a file that is still mapped
    temporary = tempfile.TemporaryDirectory(prefix="nnunet_eas_", ignore_cleanup_errors=True)
    with open_packed(path) as packed, temporary as work:
        model, *others = packed.models
        if others:
            raise ValueError(
                f"model (MODEL, -m) must be a packed file with one model, got {len(packed.models)} in {path}. "
                "Unpack it with nnunet-eas unpack, and predict with nnunet-eas predict-best."
            )
        if missing := [str(fold) for fold in folds or () if fold not in model.folds]:
            raise ValueError(
                f"folds (-f) must be folds of the packed file, got {' '.join(missing)}. {path} has "
                f"{' '.join(map(str, model.folds))}."
            )
        write_model(packed, model, Path(work, model.name), folds=list(dict.fromkeys(folds or ())) or None, trust=trust)
        yield Path(work, model.name)


def _are_axes(axes: Any) -> bool:
    return axes is None or (isinstance(axes, list) and all(type(axis) is int and 0 <= axis < 3 for axis in axes))
