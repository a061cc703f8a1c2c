"""A dataset that lies in nnU-Net's raw layout already: turned to LPS and checked like any other."""

from __future__ import annotations

import json
from pathlib import Path

from dataset_conversion.case import Case, Source
from dataset_conversion.image_files import ImageFile, MaskFile


def find(source: Path) -> Source:
    """All cases of a one-channel dataset with plain labels.

    Raises:
        ValueError: It is none.
    """
    try:
        dataset = json.loads((source / "dataset.json").read_text())
        ending, labels, channels = dataset["file_ending"], dataset["labels"], dataset["channel_names"]
    except (OSError, json.JSONDecodeError, KeyError) as error:
        raise ValueError(
            f"--source must be a dataset in nnU-Net's raw layout, got {source} without a usable dataset.json."
        ) from error
    if len(channels) != 1 or any(isinstance(number, list) for number in labels.values()):
        raise ValueError("--source must have one channel and no regions, got more. Such a dataset needs no conversion.")
    structures = {int(number): name for name, number in labels.items() if int(number)}
    cases, faults = [], {}
    for side in ("Tr", "Ts"):
        for file in sorted((source / f"images{side}").glob(f"*_0000{ending}")):
            name = file.name.removesuffix(f"_0000{ending}")
            mask = source / f"labels{side}" / f"{name}{ending}"
            if side == "Tr" and not mask.is_file():
                faults[name] = [f"its mask labels{side}/{mask.name} is missing. Put it there."]
            else:
                labels_of = MaskFile(mask, has_pose=True) if mask.is_file() else None
                cases.append(Case(name, name, ImageFile(file), labels_of, is_test=side == "Ts"))
    licence = str(dataset.get("licence", dataset.get("license", "see the source")))
    reference = str(dataset.get("reference", "see the source"))
    return Source("nnunet", tuple(cases), faults, structures, licence, reference, channel=channels["0"])
