"""The model card of a packed file: Markdown behind YAML, as model hubs read it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from importlib import metadata as installed
from typing import Any

from nnunet_eas.evaluation.structures import structures_of_dataset
from nnunet_eas.inference.metadata import PACKAGES
from nnunet_eas.sharing.cross_validation import dice_of_folds, mean
from nnunet_eas.sharing.model_files import ModelFiles

NOT_STATED = "not stated"
CARD = """---
license: {license_of_hubs}
library_name: nnunet-eas
pipeline_tag: image-segmentation
tags:
- nnU-Net
- medical
- segmentation
---

# {title}

{summary}

## Intended use and limits

- Intended use: {intended_use}
- License: {license}
- The model is no medical device. For scans of other machines, protocols or patients than those of its training data,
  evaluate it first.

## Data

{data}

## Training

{training}

## Cross-validation

{cross_validation}

## Versions

The model was packed with {versions}.

## How to use

```bash
nnunet-eas unpack FILE -o {folder}
{predict}
```

`FILE` is the packed file, `SCANS` a folder with the scans, `CASE_0000{file_ending}` and so on for each channel, and
`MASKS` a folder for the masks.
{remark}
"""


def model_card(
    models: Sequence[ModelFiles], best: dict[str, Any] | None, *, license: str | None, intended_use: str | None
) -> str:
    """The text of the card, without names of cases.

    Args:
        models: The models of the file; those of an ensemble first.
        best: Numbers of the best configuration that they are, None for one model.
        license: SPDX id of the weights' license.
        intended_use: Text.
    """
    first = models[0]
    dataset = first.plans["dataset_name"]
    structures = list(structures_of_dataset(first.dataset["labels"]).values)
    names = [model.packed.name for model in models]
    channels = first.dataset.get("channel_names") or first.dataset.get("modality") or {}
    if best is None:
        predict = f"nnunet-eas predict -m {dataset}/{names[0]} -i SCANS -o MASKS"
        remark = (
            "`predict -m FILE` takes the packed file as it is; `nnUNetv2_predict_from_modelfolder` takes the folder."
        )
    else:
        predict = f"nnunet-eas predict-best -d {dataset} -i SCANS -o MASKS"
        remark = "`predict-best` takes the folder where it lies in `nnUNet_results`; it postprocesses the masks."
    return CARD.format(
        license_of_hubs=license.lower() if license else "unknown",
        title=f"{_cell(dataset)}: {' and '.join(model.packed.configuration for model in models)}",
        summary=f"Segmentation of {_listed(structures)} in {_listed(channels.values())}, by nnU-Net v2.",
        intended_use=intended_use or NOT_STATED,
        license=license or NOT_STATED,
        data=_data(first, dataset, channels),
        training=_training(models),
        cross_validation=_cross_validation(models, best),
        versions=", ".join(f"{name} {installed.version(name)}" for name in PACKAGES),
        folder=dataset,
        predict=predict,
        file_ending=first.dataset["file_ending"],
        remark=remark,
    )


def _data(model: ModelFiles, dataset: str, channels: dict[str, str]) -> str:
    labels = ", ".join(f"{name} {value}" for name, value in model.dataset["labels"].items())
    return _table(
        ("", ""),
        [
            ("dataset", dataset),
            ("training cases", model.dataset.get("numTraining", NOT_STATED)),
            ("channels", ", ".join(f"{number} {name}" for number, name in channels.items())),
            ("labels", labels),
            ("median spacing (mm)", _numbers(model.plans.get("original_median_spacing_after_transp"))),
            ("license of the data", model.dataset.get("licence") or model.dataset.get("license") or NOT_STATED),
            ("reference", model.dataset.get("reference") or NOT_STATED),
        ],
    )


def _training(models: Sequence[ModelFiles]) -> str:
    rows = []
    for model in models:
        of = model.packed
        epochs = dict.fromkeys(str(one.get("current_epoch", NOT_STATED)) for one in model.checkpoints.values())
        planned = model.configuration
        spacing, patch = _numbers(planned.spacing), _numbers(planned.patch_size)
        folds = " ".join(map(str, of.folds))
        rows.append((of.trainer, of.plans, of.configuration, folds, " ".join(epochs), spacing, patch))
    columns = ("trainer", "plans", "configuration", "folds", "epochs", "spacing (mm)", "patch (voxels)")
    return f"{_table(columns, rows)}\n\nAxes are in the order of the plans."


def _cross_validation(models: Sequence[ModelFiles], best: dict[str, Any] | None) -> str:
    parts = []
    if best is not None and best["dice"] is not None:
        which = "The ensemble" if len(best["models"]) > 1 else "The model"
        parts.append(f"{which}, with postprocessing, has a mean Dice of {best['dice']:.4f} on the validation cases.")
    for model in models:
        dice = dice_of_folds(model)
        columns = ("Dice", *(f"fold {fold}" for fold in model.packed.folds), "mean over folds")
        rows = [(name, *map(_decimal, numbers), _decimal(mean(numbers))) for name, numbers in dice.items()]
        parts.append(f"{_cell(model.packed.name)}: {'' if dice else NOT_STATED}".rstrip())
        parts += [_table(columns, rows)] if dice else []
    return "\n\n".join(parts)


def _table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(value: Any) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(_cell, names)) or NOT_STATED


def _numbers(values: Sequence[float] | None) -> str:
    return " x ".join(f"{value:g}" for value in values) if values else NOT_STATED


def _decimal(number: float) -> str:
    return "-" if math.isnan(number) else f"{number:.4f}"
