"""The trained models that a report compares, read and checked before any work."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nnunet_eas.evaluation.model_folder import folds_in
from nnunet_eas.evaluation.structures import Structures, read_dataset_json, structures_of_dataset

_KIND = "a trained model's folder TRAINER__PLANS__CONFIGURATION"


@dataclass(frozen=True)
class Model:
    """One trained model.

    Attributes:
        path: Its folder.
        name: What the page calls it.
        trainer: First part of the folder's name.
        plans_name: Second part.
        configuration: Third part: 2d, 3d_fullres, ...
        plans: Content of plans.json.
        dataset: Content of dataset.json.
        folds: Folders of its folds.
    """

    path: Path
    name: str
    trainer: str
    plans_name: str
    configuration: str
    plans: dict[str, Any]
    dataset: dict[str, Any]
    folds: tuple[Path, ...]

    @property
    def dataset_name(self) -> str:
        """DatasetXXX_Name."""
        return str(self.plans.get("dataset_name", ""))

    @property
    def file_ending(self) -> str | None:
        """Of its masks."""
        return self.dataset.get("file_ending")

    @property
    def structures(self) -> Structures:
        """What is compared."""
        return structures_of_dataset(self.dataset["labels"])


def read_models(paths: Sequence[Path], names: Sequence[str] | None) -> list[Model]:
    """The models of one dataset.

    Args:
        paths: Their folders.
        names: What to call them. None shortens the folders' names.

    Raises:
        FileNotFoundError: A folder is none of a trained model.
        ValueError: The models do not belong together, one is given twice, or the names do not fit.
    """
    folders = [path.resolve() for path in paths]
    if len(set(folders)) < len(folders):
        twice = next(path for path, folder in zip(paths, folders, strict=True) if folders.count(folder) > 1)
        raise ValueError(f"MODEL must be given once, got {twice} twice. Leave one out.")
    models = [_read(path) for path in paths]
    _check_same_dataset(models)
    names = _given(names, len(models)) if names is not None else short_names(models)
    return [replace(model, name=name) for model, name in zip(models, names, strict=True)]


def short_names(models: Sequence[Model]) -> list[str]:
    """What the folders' names differ in; of a single one the trainer. Equal ones are numbered."""
    parts = [(model.trainer, model.plans_name, model.configuration) for model in models]
    differing = [column for column in range(3) if len({of_one[column] for of_one in parts}) > 1] or [0]
    names: list[str] = []
    for of_one in parts:
        name = " ".join(of_one[column] for column in differing)
        number = next(n for n in range(1, len(parts) + 1) if _numbered(name, n) not in names)
        names.append(_numbered(name, number))
    return names


def _numbered(name: str, number: int) -> str:
    return name if number == 1 else f"{name} ({number})"


def _given(names: Sequence[str], count: int) -> list[str]:
    names = [" ".join(name.split()) for name in names]
    if len(names) != count:
        raise ValueError(f"--names must be one for each MODEL ({count}), got {len(names)}. Give {count} names.")
    if len(set(names)) < count or not all(names):
        raise ValueError(f"--names must differ and not be empty, got {', '.join(map(repr, names))}. Give other names.")
    return names


def _read(path: Path) -> Model:
    if not path.is_dir():
        raise FileNotFoundError(f"MODEL must be {_KIND}, got {path}, which is no folder. Correct the path.")
    folds = folds_in(path)
    missing = [name for name in ("plans.json", "dataset.json") if not (path / name).is_file()]
    missing += [] if folds else ["fold_*"]
    if missing:
        raise FileNotFoundError(
            f"MODEL must be {_KIND}, got {path} without {', '.join(missing)}. Give one below the dataset's folder in "
            "nnUNet_results."
        )
    plans = _json(path / "plans.json")
    try:
        dataset = read_dataset_json(path / "dataset.json")
    except ValueError as error:
        raise ValueError(
            f"MODEL must hold nnU-Net v2's dataset.json with labels as name: number, got {path / 'dataset.json'}. "
            "Copy it from the dataset's folder in nnUNet_preprocessed."
        ) from error
    trainer, plans_name, configuration = _parts(path, plans)
    return Model(path, path.name, trainer, plans_name, configuration, plans, dataset, tuple(folds))


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        content = None
    if not isinstance(content, dict) or not isinstance(content.get("configurations"), dict):
        raise ValueError(f"MODEL must hold nnU-Net v2's plans.json, got {path}. Copy the one it was trained with.")
    return content


def _parts(path: Path, plans: dict[str, Any]) -> list[str]:
    parts = path.resolve().name.split("__")
    if len(parts) != 3 or parts[2] not in plans["configurations"]:
        raise ValueError(
            f"MODEL must be {_KIND} with a configuration of its plans.json, got {path}. It has "
            f"{', '.join(plans['configurations'])}; give the folder its name back."
        )
    return parts


def _check_same_dataset(models: Sequence[Model]) -> None:
    first = models[0]
    for other in models[1:]:
        if other.dataset_name != first.dataset_name:
            raise ValueError(
                f"all MODELs must be of one dataset, got {first.dataset_name} ({first.path}) and {other.dataset_name} "
                f"({other.path}). Write a report for each dataset."
            )
        if other.dataset["labels"] != first.dataset["labels"]:
            raise ValueError(
                f"all MODELs must have the same labels in dataset.json, got {first.dataset['labels']} ({first.path}) "
                f"and {other.dataset['labels']} ({other.path}). Write a report for each."
            )
