"""nnU-Net's three folders, and the datasets in them."""

from __future__ import annotations

import os


def check_folders(*variables: str) -> None:
    """Raises RuntimeError where an environment variable that names one of nnU-Net's folders is not set."""
    for variable in variables:
        if not os.environ.get(variable):
            raise RuntimeError(f"{variable} must be set to a folder, got nothing. Run nnunet-eas doctor.")


def dataset_name(name_or_id: str | int) -> str:
    """DatasetXXX_NAME of a dataset's name or id, by the folders in nnU-Net's three.

    Raises:
        ValueError: It is neither a name nor an id, or not exactly one dataset has this id.
    """
    from nnunetv2.utilities.dataset_name_id_conversion import find_candidate_datasets

    text = str(name_or_id)
    if text.startswith("Dataset"):
        return text
    found = [str(name) for name in find_candidate_datasets(int(text))] if text.isdecimal() else []
    if len(found) != 1:
        which = f"which {' and '.join(found)} have" if found else "which none has"
        raise ValueError(
            "dataset (-d) must be the name DatasetXXX_NAME or the id of one dataset in nnUNet_raw, nnUNet_preprocessed "
            f"or nnUNet_results, got {text}, {which}. Correct it, or see these folders with nnunet-eas doctor."
        )
    return found[0]
