"""A trained model's folder, read for packing: what prediction needs, without the names of cases."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager

from nnunet_eas.inference.checkpoints import names_of_training
from nnunet_eas.inference.packed_file import DATASET, FINGERPRINT, PLANS, PackedModel
from nnunet_eas.inference.trained_model import chosen_folds
from nnunet_eas.plans.check import check_dataset, check_plans
from nnunet_eas.support.checkpoints import read_checkpoint
from nnunet_eas.support.files import read_json

# The entries of dataset.json that are packed. Others list cases (dataset, training), name people, or are free text.
DATASET_ENTRIES = (
    *("channel_names", "modality", "labels", "regions_class_order", "numTraining", "file_ending"),
    *("overwrite_image_reader_writer", "name", "reference", "release", "licence", "license"),
)
# All words of nnU-Net's dataset_fingerprint.json, beside the channels' numbers.
FINGERPRINT_WORDS = {
    *("spacings", "shapes_after_crop", "median_relative_size_after_cropping"),
    *("foreground_intensity_properties_per_channel", "max", "mean", "median", "min", "std"),
    *("percentile_00_5", "percentile_99_5"),
}


@dataclass(frozen=True)
class ModelFiles:
    """The files of a trained model."""

    folder: Path
    packed: PackedModel
    plans: dict[str, Any]
    dataset: dict[str, Any]  # dataset.json without names of cases
    fingerprint: dict[str, Any] | None  # dataset_fingerprint.json, where it has no such names
    checkpoints: dict[int | str, dict[str, Any]]  # by fold; weights are mapped, not read

    @property
    def configuration(self) -> ConfigurationManager:
        """The planned configuration."""
        return PlansManager(self.plans).get_configuration(self.packed.configuration)


def read_model(folder: Path, folds: Sequence[int | str] | None, checkpoint_name: str, *, trust: bool) -> ModelFiles:
    """Reads the files of a model that are packed, and checks that they belong together.

    Raises:
        FileNotFoundError: There is no model, or no such fold.
        ValueError: A file is damaged, a checkpoint would run something (unless `trust`) or is of another training.
        RuntimeError: It holds another network than the plans.
    """
    plans, dataset = (read_json(folder / name, name) for name in (PLANS, DATASET))
    check_plans(plans)
    check_dataset(dataset)
    chosen = chosen_folds(folder, folds, checkpoint_name)
    files = {fold: folder / f"fold_{fold}" / checkpoint_name for fold in chosen}
    checkpoints = {fold: read_checkpoint(file, trust=trust) for fold, file in files.items()}
    trainer, configuration = names_of_training({files[fold]: one for fold, one in checkpoints.items()}, plans)
    return ModelFiles(
        folder,
        PackedModel(trainer, plans["plans_name"], configuration, tuple(chosen)),
        plans,
        {key: dataset[key] for key in DATASET_ENTRIES if key in dataset},
        _fingerprint(folder / FINGERPRINT, dataset),
        checkpoints,
    )


def separated(weights: Mapping[str, Any], where: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Copies of tensors that share no memory, and the further names of those that are registered several times."""
    kept: dict[str, torch.Tensor] = {}
    shared: dict[str, str] = {}
    names: dict[tuple[Any, ...], str] = {}
    for name, tensor in weights.items():
        if not isinstance(tensor, torch.Tensor) or tensor.layout != torch.strided or tensor.is_quantized:
            raise ValueError(
                f"network_weights must hold plain tensors, got {type(tensor).__name__} for {name} in {where}. A "
                "network of this kind cannot be packed."
            )
        place = tensor.untyped_storage().data_ptr(), tensor.storage_offset()
        key = (*place, tensor.dtype, tuple(tensor.shape), tensor.stride())
        if tensor.numel() and key in names:
            shared[name] = names[key]
        else:
            names[key] = name
            kept[name] = tensor.detach().clone(memory_format=torch.contiguous_format)
    return kept, shared


def _fingerprint(file: Path, dataset: Mapping[str, Any]) -> dict[str, Any] | None:
    if not file.is_file():
        return None
    content = read_json(file, FINGERPRINT)
    channels = dataset.get("channel_names") or dataset.get("modality") or {}
    return content if set(_words(content)) <= {*FINGERPRINT_WORDS, *channels} else None


def _words(content: Any) -> Iterator[str]:
    """All keys and texts of JSON."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, dict):
        yield from content
        yield from (word for value in content.values() for word in _words(value))
    elif isinstance(content, list):
        yield from (word for value in content for word in _words(value))
