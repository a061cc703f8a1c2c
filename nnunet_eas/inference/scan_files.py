"""The cases to predict: files by nnU-Net's names (CASE_0000.nii.gz, CASE_0001.nii.gz, ... one a channel), or images."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import SimpleITK as sitk

Scan = str | Path | sitk.Image


@dataclass(frozen=True)
class ScanFiles:
    """One case: its name, a file for each channel, the mask of a cascade's first stage."""

    identifier: str
    images: tuple[Path, ...]
    previous_stage: Path | None = None


def find_cases(
    scans: Scan | Sequence[Scan], previous_stage: Scan | None, work: Path, *, file_ending: str, channels: int
) -> tuple[list[ScanFiles], dict[str, str]]:
    """The complete cases in the order of their names, and the faults of the others.

    Scans and masks of the previous stage are as for `predict`; each case must have an image for each channel. Images in
    memory are written to the folder `work`, because nnU-Net's readers take files.
    """
    if isinstance(scans, (str, Path)) and Path(scans).is_dir():
        return _cases_in(Path(scans), previous_stage, file_ending, channels)
    one_a_channel = [scans] if isinstance(scans, (str, Path, sitk.Image)) else list(scans)
    if len(one_a_channel) != channels:
        raise ValueError(
            f"scans (-i) must have one image for each of the model's {channels} channels, got {len(one_a_channel)}. "
            "Give a list of them, or a folder."
        )
    ending = ".nii" if file_ending == ".nii.gz" else file_ending  # not packed: it is read once
    images = tuple(_as_file(one, work / f"scan_{n:04d}{ending}") for n, one in enumerate(one_a_channel))
    name = images[0].name
    name = name.removesuffix(file_ending) if name.endswith(file_ending) else images[0].stem
    identifier = name.removesuffix("_0000")
    mask = None if previous_stage is None else _as_file(previous_stage, work / f"previous_stage{ending}")
    if mask is not None and mask.is_dir():
        mask = mask / f"{identifier}{file_ending}"
    for file in (*images, mask or images[0]):
        if not file.is_file():
            raise FileNotFoundError(f"scans (-i) must be a folder, files or images, got {file}. Correct the path.")
    return [ScanFiles(identifier, images, mask)], {}


def _cases_in(
    folder: Path, previous_stage: Scan | None, file_ending: str, channels: int
) -> tuple[list[ScanFiles], dict[str, str]]:
    pattern = re.compile(rf"(?P<case>.+)_(?P<channel>\d{{4}}){re.escape(file_ending)}", re.DOTALL)
    found: dict[str, dict[int, Path]] = {}
    others = []
    for path in sorted(path for path in folder.glob(f"*{file_ending}") if not path.name.startswith(".")):
        if match := pattern.fullmatch(path.name):
            found.setdefault(match["case"], {})[int(match["channel"])] = path
        else:
            others.append(path.name.removesuffix(file_ending))
    if not found:
        raise FileNotFoundError(
            f"scans (-i) must hold files named CASE_0000{file_ending}, got none in {folder}. Rename them, or convert "
            "them with nnunet-eas convert dicom."
        )
    cases = []
    faults = {
        name: f"its name must end in _0000{file_ending}, or another channel's number. Rename it."
        for name in others
        if name not in found  # a mask that lies beside its scan
    }
    for identifier, files in found.items():
        mask = None if previous_stage is None else Path(previous_stage) / f"{identifier}{file_ending}"  # type: ignore[arg-type]
        if sorted(files) != list(range(channels)):
            got, wanted = (", ".join(f"{n:04d}" for n in numbers) for numbers in (sorted(files), range(channels)))
            faults[identifier] = f"its channels must be {wanted}, got {got}. Add or rename files."
        elif mask is not None and not mask.is_file():
            faults[identifier] = f"its mask of the previous stage must exist, got no {mask}."
        else:
            cases.append(ScanFiles(identifier, tuple(files[channel] for channel in sorted(files)), mask))
    return cases, faults


def _as_file(scan: Scan, name: Path) -> Path:
    if not isinstance(scan, sitk.Image):
        return Path(scan)
    sitk.WriteImage(scan, str(name))
    return name
