"""The classes that plans name: networks and layers of known packages, or refused."""

from __future__ import annotations

import pydoc
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dynamic_network_architectures
from nnunetv2.utilities.find_class_by_name import recursive_find_python_class
from torch import nn

from nnunet_eas.support.checkpoints import TRUST_VARIABLE
from nnunet_eas.support.errors import printable, shown

KNOWN = ("torch.nn", "dynamic_network_architectures", "nnunet_eas")  # packages of the classes that plans may name


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
                        f"{shown(name)} in {where}. Loading may run anything; if you trust its source, set "
                        f"{TRUST_VARIABLE}=1, or give --trust to a command that has it."
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
