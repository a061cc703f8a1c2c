"""Checks that files are checkpoints of nnU-Net that belong together, without reading their weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from nnunet_eas.plans.check import check_plans
from nnunet_eas.plans.translation import architecture_differences
from nnunet_eas.support.checkpoints import read_checkpoint
from nnunet_eas.support.errors import first_line

ENTRIES = ("network_weights", "init_args", "trainer_name")  # of every checkpoint of nnU-Net's


def trainer_and_configuration(
    files: Sequence[Path], plans: Mapping[str, Any], *, trust: bool = False
) -> tuple[str, str]:
    """The names of the trainer's class and of the configuration that all checkpoints have, one for each fold.

    Weights of another network can fit by shape (other dilation rates, say) and would load without a warning. So the
    network that each file names is compared with the one of the plans beside the folds.

    Raises:
        ValueError: A file is no checkpoint, would run something (unless `trust`), or is of another training.
        RuntimeError: It holds another network than the plans.
    """
    return names_of_training({file: read_checkpoint(file, trust=trust) for file in files}, plans)


def names_of_training(checkpoints: Mapping[Path, Mapping[str, Any]], plans: Mapping[str, Any]) -> tuple[str, str]:
    """The same of checkpoints that have been read, by their files."""
    names = {file: _names(checkpoint, file, plans) for file, checkpoint in checkpoints.items()}
    first_file, first = next(iter(names.items()))
    for file, others in names.items():
        if others != first:
            raise ValueError(
                f"The folds must be of one training, got {' '.join(others)} in {file} and {' '.join(first)} in "
                f"{first_file}. Give folds (-f) of one of them."
            )
    return first


def _names(checkpoint: Mapping[str, Any], file: Path, plans: Mapping[str, Any]) -> tuple[str, str]:
    if lacking := [name for name in ENTRIES if name not in checkpoint]:
        raise ValueError(
            f"The checkpoint must be nnU-Net's, got {file}, which has no {', '.join(lacking)}. "
            "Only models that nnU-Net v2 has trained can be read."
        )
    try:
        trained_with, name = checkpoint["init_args"]["plans"], checkpoint["init_args"]["configuration"]
        check_plans(trained_with, "init_args of the checkpoint")
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"The checkpoint must hold the plans and the configuration of its training, got {first_line(error)} in "
            f"{file}. Take another one."
        ) from error
    if name not in plans["configurations"]:
        raise RuntimeError(
            f"plans.json must have the configuration of {file}, got {', '.join(plans['configurations'])} and not "
            f"{name}. Restore the plans.json of the training."
        )
    differences = architecture_differences(
        *(PlansManager(dict(of)).get_configuration(name).configuration["architecture"] for of in (trained_with, plans))
    )
    if differences:
        raise RuntimeError(
            f"The checkpoint must hold the network of plans.json beside it, got another one in {file}: "
            f"{'; '.join(differences[:3])}. Restore the plans.json of the training."
        )
    return checkpoint["trainer_name"], name
