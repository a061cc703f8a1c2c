"""A dataset that is in nnU-Net's raw layout already: turned to LPS and checked like the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dataset_conversion.case import Case, Source
from dataset_conversion.faults import Faults
from dataset_conversion.image_files import ImageFile, MaskFile
from nnunet_eas.support.files import read_json

TYPES = {"file_ending": str, "labels": dict, "channel_names": dict}  # entries of dataset.json


def read_dataset_json(folder: Path, option: str) -> dict[str, Any]:
    """Content of a raw dataset's dataset.json; `option` is the folder's name in the command."""
    try:
        content: dict[str, Any] = read_json(folder / "dataset.json", "dataset.json", keys=list(TYPES))
        if all(isinstance(content[key], kind) for key, kind in TYPES.items()):
            return content
    except (OSError, ValueError):
        pass
    raise ValueError(
        f"{option} must be a dataset in nnU-Net's raw layout, got {folder} without a usable dataset.json. Correct "
        "the path."
    )


def find(source: Path) -> Source:
    """All cases of a one-channel dataset with plain labels."""
    dataset = read_dataset_json(source, "--source")
    labels, channels = dataset["labels"], dataset["channel_names"]
    if len(channels) != 1 or any(isinstance(number, list) for number in labels.values()):
        raise ValueError("--source must have one channel and no regions, got more. Such a dataset needs no conversion.")
    structures = {int(number): name for name, number in labels.items() if int(number)}
    cases, faults = one_channel_cases(source, dataset["file_ending"])
    licence = str(dataset.get("licence", dataset.get("license", "see the source")))
    reference = str(dataset.get("reference", "see the source"))
    return Source("nnunet", tuple(cases), faults, structures, licence, reference, channel=channels["0"])


def one_channel_cases(source: Path, ending: str) -> tuple[list[Case], Faults]:
    """The cases of imagesTr and imagesTs; a test case needs no mask."""
    cases, faults = [], {}
    for side in ("Tr", "Ts"):
        for file in sorted((source / f"images{side}").glob(f"*_0000{ending}")):
            name = file.name.removesuffix(f"_0000{ending}")
            mask = source / f"labels{side}" / f"{name}{ending}"
            if side == "Tr" and not mask.is_file():
                faults[name] = [f"its mask labels{side}/{mask.name} is missing. Put it there."]
            else:
                labels = MaskFile(mask, has_pose=True) if mask.is_file() else None
                cases.append(Case(name, name, ImageFile(file), labels, is_test=side == "Ts"))
    return cases, faults
