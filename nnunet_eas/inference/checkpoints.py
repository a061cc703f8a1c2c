"""Checks that files are checkpoints of nnU-Net that belong together, without reading their weights."""

from __future__ import annotations

import pydoc
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dynamic_network_architectures
from nnunetv2.utilities.find_class_by_name import recursive_find_python_class
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from torch import nn

from nnunet_eas.plans.translation import architecture_differences
from nnunet_eas.support.checkpoints import TRUST_VARIABLE, read_checkpoint
from nnunet_eas.support.errors import printable
from nnunet_eas.support.safe_archive import shown

ENTRIES = ("network_weights", "init_args", "trainer_name")  # of every checkpoint of nnU-Net's
KNOWN = ("torch.nn", "dynamic_network_architectures", "nnunet_eas")  # packages of the classes that plans may name


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


def check_named_classes(plans: Mapping[str, Any], where: str | Path) -> None:
    """Checks that all classes that plans name are networks or layers of known packages.

    nnU-Net imports what a plan names, whatever it is, and calls it with the plan's values. The start of a name does not
    suffice: modules of these packages import others, which a name reaches through them.

    Args:
        plans: Content of a plans file.
        where: The file, for the error.

    Raises:
        ValueError: A class is of another package, or the plans are not nnU-Net's.
    """
    try:
        for configuration in plans["configurations"].values():
            if "architecture" not in configuration:  # inherited; or of old plans, which do not name classes
                continue
            architecture = configuration["architecture"]
            layers = [(key, architecture["arch_kwargs"][key]) for key in architecture["_kw_requires_import"]]
            for key, name in [("network_class_name", architecture["network_class_name"]), *layers]:
                if name is not None and not _is_known(name):
                    raise ValueError(
                        f"{printable(key)} of the plans must be a network or layer of {', '.join(KNOWN)}, got "
                        f"{shown(name)} in {where}. Loading may run anything; if you trust its source, give --trust, "
                        f"or set {TRUST_VARIABLE}=1."
                    )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"The plans must be nnU-Net's, got others in {where}. Get the file anew.") from error


def _is_known(name: Any) -> bool:
    if not isinstance(name, str) or not _is_of_known_package(name):
        return False
    try:
        found = pydoc.locate(name)
        if found is None:  # as nnU-Net does for networks: they move between versions
            folder, package = f"{dynamic_network_architectures.__path__[0]}/architectures", f"{KNOWN[1]}.architectures"
            found = recursive_find_python_class(folder, name.split(".")[-1], package)
    except Exception:  # a name of unknown origin may raise anything
        return False
    return isinstance(found, type) and issubclass(found, nn.Module) and _is_of_known_package(found.__module__)


def _is_of_known_package(name: str) -> bool:
    return f"{name}.".startswith(tuple(f"{package}." for package in KNOWN))


def _names(checkpoint: Mapping[str, Any], file: Path, plans: Mapping[str, Any]) -> tuple[str, str]:
    if lacking := [name for name in ENTRIES if name not in checkpoint]:
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
