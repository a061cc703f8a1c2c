"""Checks that files are checkpoints of nnU-Net that belong together, without reading their weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from nnunet_eas.plans.translation import architecture_differences

ENTRIES = ("network_weights", "init_args", "trainer_name")  # of every checkpoint of nnU-Net's


def trainer_and_configuration(files: Sequence[Path], plans: Mapping[str, Any]) -> tuple[str, str]:
    """The names of the trainer's class and of the configuration that all checkpoints have, one for each fold.

    Weights of another network can fit by shape (other dilation rates, say) and would load without a warning. So the
    network that each file names is compared with the one of the plans beside the folds.
    """
    names = {file: _names(file, plans) for file in files}
    first = names[files[0]]
    for file, others in names.items():
        if others != first:
            raise ValueError(
                f"The folds must be of one training, got {' '.join(others)} in {file} and {' '.join(first)} in "
                f"{files[0]}. Give folds (-f) of one of them."
            )
    return first


def _names(file: Path, plans: Mapping[str, Any]) -> tuple[str, str]:
    advice = "Copy the model anew, or give -chk the name of another checkpoint."
    try:
        # mapped, not read: the weights come with nnU-Net's own loading
        checkpoint = torch.load(file, map_location="cpu", weights_only=False, mmap=True)
    except Exception as error:  # a file of unknown origin may raise anything
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise ValueError(f"The checkpoint must be a whole one of nnU-Net's, got {file} ({reason}). {advice}") from error
    lacking = [name for name in ENTRIES if not isinstance(checkpoint, dict) or name not in checkpoint]
    if lacking:
        raise ValueError(
            f"The checkpoint must be nnU-Net's, got {file}, which has no {', '.join(lacking)}. "
            "Only models that nnU-Net v2 has trained can be read."
        )
    trained_with, name = checkpoint["init_args"]["plans"], checkpoint["init_args"]["configuration"]
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
