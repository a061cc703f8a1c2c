"""Checks that files are checkpoints of nnU-Net that belong together, without reading their weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from nnunet_eas.plans.translation import architecture_differences

ENTRIES = ("network_weights", "init_args", "trainer_name")
"""Entries of every checkpoint of nnU-Net's, which its predictor needs."""


class CheckpointHeader(NamedTuple):
    """Class name of the trainer, and the configuration (2d, 3d_fullres, ...) that it trained."""

    trainer_name: str
    configuration_name: str


def read_checkpoint_headers(files: Sequence[Path], plans: Mapping[str, Any]) -> CheckpointHeader:
    """The header that all files have.

    Weights of another network can fit by shape (other dilation rates, say) and would load without a warning. So the
    network that each file names is compared with the plans'.

    Args:
        files: One for each fold.
        plans: Content of the plans.json beside the folds.

    Raises:
        ValueError: A file is damaged, not a checkpoint of nnU-Net's, or from another training than the first.
        RuntimeError: A file is from another plan.
    """
    headers = {file: _read(file, plans) for file in files}
    first = headers[files[0]]
    for file, header in headers.items():
        if header != first:
            raise ValueError(
                f"The folds must be of one training, got {header.trainer_name} {header.configuration_name} in {file} "
                f"and {first.trainer_name} {first.configuration_name} in {files[0]}. Give folds (-f) of one of them."
            )
    return first


def _read(file: Path, plans: Mapping[str, Any]) -> CheckpointHeader:
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
    init_args = checkpoint["init_args"]
    name = init_args["configuration"]
    if name not in plans["configurations"]:
        raise RuntimeError(
            f"plans.json must have the configuration of {file}, got {', '.join(plans['configurations'])} and not "
            f"{name}. Restore the plans.json of the training."
        )
    differences = architecture_differences(_architecture(init_args["plans"], name), _architecture(plans, name))
    if differences:
        raise RuntimeError(
            f"The checkpoint must hold the network of plans.json beside it, got another one in {file}: "
            f"{'; '.join(differences[:3])}. Restore the plans.json of the training."
        )
    return CheckpointHeader(str(checkpoint["trainer_name"]), str(name))


def _architecture(plans: Mapping[str, Any], configuration: str) -> dict[str, Any]:
    return PlansManager(dict(plans)).get_configuration(configuration).configuration["architecture"]
