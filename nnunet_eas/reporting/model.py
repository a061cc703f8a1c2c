"""The trained models that a report compares, read and checked before any work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nnunet_eas.evaluation.model_folder import folds_in
from nnunet_eas.evaluation.structures import Structures, read_dataset_json, structures_of_dataset
from nnunet_eas.support.files import read_json

_KIND = "a trained model's folder TRAINER__PLANS__CONFIGURATION"


@dataclass(frozen=True)
class Model:
    """One trained model."""

    path: Path  # its folder, TRAINER__PLANS__CONFIGURATION
    name: str  # its name on the page
    trainer: str  # first part of the folder's name
    plans_name: str  # second part
    configuration: str  # third part: 2d, 3d_fullres, ...
    plans: dict[str, Any]  # content of plans.json
    dataset: dict[str, Any]  # content of dataset.json
    folds: tuple[Path, ...]  # folders of its folds

    @property
    def dataset_name(self) -> str:
        """DatasetXXX_Name."""
        return str(self.plans.get("dataset_name", ""))

    @property
    def file_ending(self) -> str | None:
        """The ending of its masks and scans."""
        return self.dataset.get("file_ending")

    @property
    def structures(self) -> Structures:
        """The structures that are compared."""
        return structures_of_dataset(self.dataset["labels"])


def read_models(paths: Sequence[Path], names: Sequence[str] | None) -> list[Model]:
    """Reads the models of one dataset.

    Args:
        paths: Their folders.
        names: Their names on the page. None takes the parts in which the folders' names differ.
    """
    folders = [path.resolve() for path in paths]
    twice = [path for path, folder in zip(paths, folders, strict=True) if folders.count(folder) > 1]
    if twice:
        raise ValueError(f"models must be given once each, got {twice[0]} twice. Leave one out.")
    first, *others = models = [_read(path) for path in paths]
    for other in others:
        for what, of_first, of_other in (
            ("be of one dataset", first.dataset_name, other.dataset_name),
            ("have the same labels in dataset.json", first.dataset["labels"], other.dataset["labels"]),
        ):
            if of_first != of_other:
                raise ValueError(
                    f"all models must {what}, got {of_first} ({first.path}) and {of_other} ({other.path}). Write a "
                    "report for each."
                )
    if names is None:
        names = _short_names(models)
    names = [" ".join(name.split()) for name in names]
    if len(names) != len(models):
        count = len(models)
        raise ValueError(f"names must be one for each model ({count}), got {len(names)}. Give {count} names.")
    if len(set(names)) < len(names) or not all(names):
        raise ValueError(f"names must differ and not be empty, got {', '.join(map(repr, names))}. Give other names.")
    return [replace(model, name=name) for model, name in zip(models, names, strict=True)]


def _read(path: Path) -> Model:
    if not path.is_dir():
        raise FileNotFoundError(f"models must be {_KIND}, got {path}, which is no folder. Correct the path.")
    folds = folds_in(path)
    missing = [name for name in ("plans.json", "dataset.json") if not (path / name).is_file()]
    missing += [] if folds else ["fold_*"]
    if missing:
        raise FileNotFoundError(
            f"models must be {_KIND}, got {path} without {', '.join(missing)}. Give one below the dataset's folder in "
            "nnUNet_results."
        )
    plans = read_json(path / "plans.json", "a model's plans.json")
    if not isinstance(plans, dict) or not isinstance(plans.get("configurations"), dict):
        raise ValueError(
            f"a model's plans.json must be in the format of nnU-Net v2, got {path / 'plans.json'}. Copy the one that "
            "the model was trained with."
        )
    dataset = read_dataset_json(path / "dataset.json", "a model's dataset.json")
    parts = path.resolve().name.split("__")
    if len(parts) != 3 or parts[2] not in plans["configurations"]:
        raise ValueError(
            f"models must be {_KIND} with a configuration of its plans.json, got {path}. It has "
            f"{', '.join(plans['configurations'])}; give the folder its name back."
        )
    return Model(path, path.name, parts[0], parts[1], parts[2], plans, dataset, tuple(folds))


def _short_names(models: Sequence[Model]) -> list[str]:
    """The parts in which the folders' names differ; the trainer where there is one model. Equal names are numbered."""
    parts = [(model.trainer, model.plans_name, model.configuration) for model in models]
    differing = [column for column in range(3) if len({of_one[column] for of_one in parts}) > 1] or [0]
    names = [" ".join(of_one[column] for column in differing) for of_one in parts]
    before = [names[:place].count(name) for place, name in enumerate(names)]
    return [f"{name} ({count + 1})" if count else name for name, count in zip(names, before, strict=True)]
