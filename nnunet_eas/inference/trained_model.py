"""A trained model's folder, TRAINER__PLANS__CONFIGURATION, as networks that predict."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name
from nnunetv2.utilities.label_handling.label_handling import LabelManager, determine_num_input_channels
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager
from torch import nn

from nnunet_eas.inference.checkpoints import read_checkpoint_headers
from nnunet_eas.inference.quiet import quiet


@dataclass(frozen=True)
class TrainedModel:
    """What was trained, as nnU-Net's predictor loads it.

    Attributes:
        trainer_name: The trainer's class.
        configuration_name: 2d, 3d_fullres, ...
        plans_manager: The plans beside the model.
        configuration: Their configuration of that name.
        dataset_json: Content of the dataset.json beside the model.
        folds: The loaded folds.
        networks: One for each of them: on the CPU, in evaluation mode, deep supervision off.
        mirroring_axes: Spatial axes of a patch along which prediction may mirror; None for no mirroring.
    """

    trainer_name: str
    configuration_name: str
    plans_manager: PlansManager
    configuration: ConfigurationManager
    dataset_json: dict[str, Any]
    folds: tuple[int | str, ...]
    networks: tuple[nn.Module, ...]
    mirroring_axes: tuple[int, ...] | None

    @property
    def name(self) -> str:
        """TRAINER__PLANS__CONFIGURATION, whatever the folder is called."""
        return f"{self.trainer_name}__{self.plans_manager.plans_name}__{self.configuration_name}"

    @property
    def label_manager(self) -> LabelManager:
        """What the outputs mean."""
        return self.plans_manager.get_label_manager(self.dataset_json)

    @property
    def input_channels(self) -> int:
        """The image's, and in a cascade those of the stage before."""
        return determine_num_input_channels(self.plans_manager, self.configuration, self.dataset_json)

    @property
    def patch_size(self) -> tuple[int, ...]:
        """Spatial shape in voxels."""
        return tuple(int(edge) for edge in self.configuration.patch_size)


def load_trained_model(
    folder: Path, folds: Sequence[int | str] | None = None, checkpoint_name: str = "checkpoint_final.pth"
) -> TrainedModel:
    """Loads a model with nnU-Net's own predictor, after checks that say what is wrong where it would not.

    Loading runs what a checkpoint's pickle holds, as nnU-Net does: load only files from people you trust.

    Args:
        folder: The model's, with dataset.json, plans.json and fold_0, ...
        folds: Numbers or "all"; None takes those that hold the checkpoint, "all" only if there are no others.
        checkpoint_name: The file in each fold's folder.

    Raises:
        FileNotFoundError: The folder, one of its files, or a fold is not there.
        ValueError: A file is damaged or not nnU-Net's, or the folds do not belong together.
        RuntimeError: nnU-Net does not find the trainer, or the weights are another network's.
    """
    _check_folder(folder)
    chosen = _chosen_folds(folder, folds, checkpoint_name)
    plans = json.loads((folder / "plans.json").read_text(encoding="utf-8"))
    header = read_checkpoint_headers([folder / f"fold_{fold}" / checkpoint_name for fold in chosen], plans)
    predictor = _initialised_predictor(folder, chosen, checkpoint_name, header.trainer_name)

    networks = []
    for weights in predictor.list_of_parameters:
        # a copy before eval(): what a network prepares for prediction there is made from its own fold's weights
        network = copy.deepcopy(getattr(predictor.network, "_orig_mod", predictor.network))
        network.load_state_dict(weights)
        networks.append(network.eval())
    axes = predictor.allowed_mirroring_axes
    return TrainedModel(
        trainer_name=header.trainer_name,
        configuration_name=header.configuration_name,
        plans_manager=predictor.plans_manager,
        configuration=predictor.configuration_manager,
        dataset_json=predictor.dataset_json,
        folds=tuple(chosen),
        networks=tuple(networks),
        mirroring_axes=None if axes is None else tuple(int(axis) for axis in axes),
    )


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise FileNotFoundError(f"MODEL must be a trained model's folder, got {folder}. Correct the path.")
    for name in ("dataset.json", "plans.json"):
        file = folder / name
        if not file.is_file():
            raise FileNotFoundError(
                f"MODEL must be a trained model's folder, got {folder}, which has no {name}. Give the folder "
                "TRAINER__PLANS__CONFIGURATION in nnUNet_results."
            )
        try:
            json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{name} must be whole JSON, got {file} ({error}). Copy the model anew.") from error


def _chosen_folds(folder: Path, folds: Sequence[int | str] | None, checkpoint_name: str) -> list[int | str]:
    names = [path.parent.name.removeprefix("fold_") for path in folder.glob(f"fold_*/{checkpoint_name}")]
    numbers = sorted(int(name) for name in names if name.isdecimal())
    there: list[int | str] = [*numbers, *(name for name in names if name == "all")]
    if not there:
        raise FileNotFoundError(
            f"MODEL must have a fold with {checkpoint_name}, got none in {folder}. Finish the training, or give -chk "
            "the name of another checkpoint."
        )
    missing = [str(fold) for fold in folds or () if fold not in there]
    if missing:
        raise FileNotFoundError(
            f"-f must name folds with {checkpoint_name}, got {' '.join(missing)}. {folder} has "
            f"{' '.join(map(str, there))}."
        )
    return list(dict.fromkeys(folds or numbers or there))


def _initialised_predictor(
    folder: Path, folds: Sequence[int | str], checkpoint_name: str, trainer_name: str
) -> nnUNetPredictor:
    with quiet():
        try:
            recursive_find_trainer_class_by_name(trainer_name)
        except RuntimeError as error:
            raise RuntimeError(
                f"The model's trainer must be one that nnU-Net finds, got {trainer_name}. Install the package that it "
                "is from, or put the folder of its file into nnUNet_extTrainer."
            ) from error
        predictor = nnUNetPredictor(device=torch.device("cpu"), perform_everything_on_device=False)
        try:
            predictor.initialize_from_trained_model_folder(str(folder), tuple(folds), checkpoint_name)
            for weights in predictor.list_of_parameters:
                getattr(predictor.network, "_orig_mod", predictor.network).load_state_dict(weights)
        except RuntimeError as error:
            first = "; ".join(line.strip() for line in str(error).splitlines()[:2])
            raise RuntimeError(
                f"{checkpoint_name} must hold the network of plans.json beside it, got another one ({first}). Restore "
                "the plans.json of the training."
            ) from error
    return predictor
