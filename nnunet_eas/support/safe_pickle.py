"""nnU-Net's postprocessing.pkl, read without running anything that it names, and written."""

from __future__ import annotations

import io
import pickle
import pickletools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from nnunetv2.postprocessing.remove_connected_components import remove_all_but_largest_component_from_segmentation

from nnunet_eas.support.errors import first_line
from nnunet_eas.support.files import write_bytes

FUNCTIONS: dict[str, Callable[..., Any]] = {
    f"{function.__module__}.{function.__qualname__}": function
    for function in (remove_all_but_largest_component_from_segmentation,)
}
"""nnU-Net's functions of postprocessing, by name."""

KEYWORDS = ("labels_or_regions", "background_label")  # of these functions
LARGEST = 2**20  # bytes: nnU-Net's have some hundred

Postprocessing = tuple[list[Callable[..., Any]], list[dict[str, Any]]]


@dataclass(frozen=True)
class _Named:
    """The place of a function while a pickle is read, which could change or call the function itself."""

    name: str


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Gives what a pickle may name: nnU-Net's functions, and what NumPy's scalars are made of."""
        whole = f"{module}.{name}"
        if whole in FUNCTIONS:
            return _Named(whole)
        if (module, name) == ("numpy", "dtype"):
            return np.dtype
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name == "scalar":
            return np.float32(0).__reduce__()[0]
        raise ValueError(f"it would load {whole!a}")


def read_postprocessing(path: Path) -> Postprocessing:
    """The functions that nnU-Net applies to masks, and the keyword arguments of each.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It holds anything else than nnU-Net's functions and numbers.
    """
    if not path.is_file():
        raise FileNotFoundError(f"The postprocessing must be a file, got {path}. Run nnunet-eas crossval.")
    try:
        if path.stat().st_size > LARGEST:
            raise ValueError(f"it has more than {LARGEST} bytes")
        content = path.read_bytes()
        for operation, argument, _ in pickletools.genops(content):
            # Python makes as many places at once
            if operation.name.endswith("PUT") and int(argument or 0) > len(content):
                raise ValueError(f"it asks for {argument} places in memory")
        functions, keywords = _Unpickler(io.BytesIO(content)).load()
        return checked_postprocessing([function.name for function in functions], [plain(one) for one in keywords])
    except Exception as error:  # a file of unknown origin may raise anything
        reason = first_line(error)
        raise ValueError(
            f"The postprocessing must hold nnU-Net's functions and numbers only, got {path} ({reason}). Run "
            "nnunet-eas crossval again."
        ) from error


def checked_postprocessing(names: Sequence[str], keywords: Sequence[dict[str, Any]]) -> Postprocessing:
    """The functions by their names, with their keyword arguments; a ValueError where one is not nnU-Net's."""
    if len(names) != len(keywords):
        raise ValueError(f"{len(names)} functions with {len(keywords)} sets of arguments")
    for name, arguments in zip(names, keywords, strict=True):
        if name not in FUNCTIONS:
            raise ValueError(f"the function {name!a}")
        if not isinstance(arguments, dict) or set(arguments) - set(KEYWORDS):
            raise ValueError(f"other arguments than {', '.join(KEYWORDS)}")
        if not all(_is_of_labels(value) for value in arguments.values()):
            raise ValueError("arguments that are no labels")
    return [FUNCTIONS[name] for name in names], list(keywords)


def write_postprocessing(path: Path, postprocessing: Postprocessing) -> None:
    """Writes the file that `nnUNetv2_apply_postprocessing` reads."""
    write_bytes(path, pickle.dumps(postprocessing))


def plain(value: Any) -> Any:
    """Containers and scalars as Python's own, without NumPy's."""
    if isinstance(value, dict):
        return {key: plain(of_key) for key, of_key in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(plain(one) for one in value)
    return value.item() if isinstance(value, np.generic) else value


def _is_of_labels(value: Any) -> bool:
    """Whether a value is a label, or a region or list of them."""
    if isinstance(value, (list, tuple)):
        return all(_is_of_labels(one) for one in value)
    return isinstance(value, int) and not isinstance(value, bool)
