"""A trained model's folder, TRAINER__PLANS__CONFIGURATION, as networks that predict."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.utilities.file_path_utilities import get_output_folder
from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name
from nnunetv2.utilities.label_handling.label_handling import LabelManager, determine_num_input_channels
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager
from torch import nn

from nnunet_eas.inference.batched_predictor import autocast_dtype
from nnunet_eas.inference.checkpoints import trainer_and_configuration
from nnunet_eas.inference.packed_model import unpacked
from nnunet_eas.inference.quiet import quiet
from nnunet_eas.plans.check import check_dataset, check_plans
from nnunet_eas.plans.named_classes import check_named_classes
from nnunet_eas.support.checkpoints import is_trusted
from nnunet_eas.support.datasets import check_folders, dataset_name
from nnunet_eas.support.files import read_json


@dataclass(frozen=True)
class TrainedModel:
    """Trained networks with their plans and dataset.json, as nnU-Net's predictor loads them."""

    trainer_name: str  # the trainer's class
    configuration_name: str
    plans_manager: PlansManager
    configuration: ConfigurationManager
    dataset_json: dict[str, Any]
    folds: tuple[int | str, ...]
    networks: tuple[nn.Module, ...]  # one for each fold: on the CPU, in evaluation mode, deep supervision off
    mirroring_axes: tuple[int, ...] | None  # spatial axes of a patch; None for no mirroring
    autocast_dtype: torch.dtype = torch.float16  # number format on CUDA, which the trainer chose

    @property
    def name(self) -> str:
        """TRAINER__PLANS__CONFIGURATION, whatever the folder is called."""
        return f"{self.trainer_name}__{self.plans_manager.plans_name}__{self.configuration_name}"

    @property
    def label_manager(self) -> LabelManager:
        """nnU-Net's rules that make labels of the logits."""
        return self.plans_manager.get_label_manager(self.dataset_json)

    @property
    def input_channels(self) -> int:
        """The image's channels, and in a cascade those of the previous stage's mask."""
        return determine_num_input_channels(self.plans_manager, self.configuration, self.dataset_json)

    @property
    def channel_names(self) -> dict[str, str]:
        """The image's channels as dataset.json names them."""
        return self.dataset_json.get("channel_names") or self.dataset_json["modality"]

    @property
    def patch_size(self) -> tuple[int, ...]:
        """Spatial shape in voxels."""
        return tuple(int(edge) for edge in self.configuration.patch_size)

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape of what the networks take: (channels, *patch)."""
        return (self.input_channels, *self.patch_size)


def model_folder(dataset: str, configuration: str, trainer: str, plans: str) -> Path:
    """The folder of a trained model in nnUNet_results; the dataset by its name or id."""
    check_folders("nnUNet_results")
    folder = Path(get_output_folder(dataset_name(dataset), trainer, plans, configuration))
    if not folder.is_dir():
        trained = sorted(path.name for path in folder.parent.glob("*__*__*")) or ["nothing"]
        raise FileNotFoundError(
            f"-tr, -p and -c must name a trained model of {folder.parent.name}, got {folder.name}. Trained there: "
            f"{', '.join(trained)}."
        )
    return folder


def load_trained_model(
    folder: str | Path,
    folds: Sequence[int | str] | None = None,
    checkpoint_name: str = "checkpoint_final.pth",
    *,
    trust: bool = False,
) -> TrainedModel:
    """Loads a model with nnU-Net's own predictor, after checks that name faults which nnU-Net passes over.

    A checkpoint that holds more than nnU-Net's own checkpoints do is not loaded, because loading could run anything.

    Args:
        folder: The model's folder, with dataset.json, plans.json and fold_0, ..., or a file of `nnunet-eas pack`.
        folds: Numbers or "all"; None takes those that hold the checkpoint, "all" only if there are no others.
        checkpoint_name: The file in each fold's folder.
        trust: Load the checkpoints as nnU-Net does, whatever that runs, and accept any class that plans name.
    """
    folder, contents = Path(folder), {}
    if folder.is_file():
        with unpacked(folder, folds, checkpoint_name, trust=trust) as model:
            return load_trained_model(model, folds, trust=trust)
    for name in ("dataset.json", "plans.json"):
        if not (folder / name).is_file():
            raise FileNotFoundError(
                "model (MODEL, -m) must be a trained model's folder, TRAINER__PLANS__CONFIGURATION in nnUNet_results, "
                f"or a packed file, got {folder}, which has no {name}. Correct the path."
            )
        contents[name] = read_json(folder / name, name)
    check_plans(contents["plans.json"])
    if not is_trusted(trust):
        check_named_classes(contents["plans.json"], folder / "plans.json")
    check_dataset(contents["dataset.json"])
    chosen = chosen_folds(folder, folds, checkpoint_name)
    files = [folder / f"fold_{fold}" / checkpoint_name for fold in chosen]
    trainer, configuration = trainer_and_configuration(files, contents["plans.json"], trust=trust)
    with quiet(), autocast_dtype(torch.float16):
        predictor, networks = _networks(folder, chosen, checkpoint_name, trainer)
        chosen_dtype = torch.get_autocast_dtype("cuda")
    axes = predictor.allowed_mirroring_axes
    return TrainedModel(
        trainer,
        configuration,
        predictor.plans_manager,
        predictor.configuration_manager,
        predictor.dataset_json,
        folds=tuple(chosen),
        networks=networks,
        mirroring_axes=None if axes is None else tuple(int(axis) for axis in axes),
        autocast_dtype=chosen_dtype,
    )


def chosen_folds(folder: Path, folds: Sequence[int | str] | None, checkpoint_name: str) -> list[int | str]:
    """The folds that are asked for; None takes those that hold the checkpoint, "all" only if there are no others."""
    names = [path.parent.name.removeprefix("fold_") for path in folder.glob(f"fold_*/{checkpoint_name}")]
    numbers = sorted(int(name) for name in names if name.isdecimal())
    trained: list[int | str] = [*numbers, *(name for name in names if name == "all")]
    if not trained:
        raise FileNotFoundError(
            f"model (MODEL, -m) must have a fold with {checkpoint_name}, got none in {folder}. Finish the training, or "
            "give -chk the name of another checkpoint."
        )
    if missing := [str(fold) for fold in folds or () if fold not in trained]:
        raise FileNotFoundError(
            f"folds (-f) must be folds with {checkpoint_name}, got {' '.join(missing)}. {folder} has "
            f"{' '.join(map(str, trained))}."
        )
    return list(dict.fromkeys(folds or numbers or trained))


def _networks(
    folder: Path, folds: Sequence[int | str], checkpoint_name: str, trainer_name: str
) -> tuple[nnUNetPredictor, tuple[nn.Module, ...]]:
    """nnU-Net's predictor of the model, and a network for each fold."""
    try:
        recursive_find_trainer_class_by_name(trainer_name)
    except RuntimeError as error:
        raise RuntimeError(
            f"The model's trainer must be one that nnU-Net finds, got {trainer_name}. Install the package that it is "
            "from, or put the folder of its file into nnUNet_extTrainer."
        ) from error
    predictor = nnUNetPredictor(device=torch.device("cpu"), perform_everything_on_device=False)
    networks = []
    try:
        predictor.initialize_from_trained_model_folder(str(folder), tuple(folds), checkpoint_name)
        for weights in predictor.list_of_parameters:
            networks.append(copy.deepcopy(getattr(predictor.network, "_orig_mod", predictor.network)))
            networks[-1].load_state_dict(weights)
            networks[-1].eval()
    except RuntimeError as error:
        first = "; ".join(line.strip() for line in str(error).splitlines()[:2])
        raise RuntimeError(
            f"{checkpoint_name} must hold the network of plans.json beside it, got another one ({first}). Restore the "
            "plans.json of the training."
        ) from error
    return predictor, tuple(networks)
