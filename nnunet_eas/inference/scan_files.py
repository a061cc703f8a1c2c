"""Which cases a folder of scans holds, by nnU-Net's names: CASE_0000.nii.gz, CASE_0001.nii.gz, ... one per channel."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from nnunet_eas.inference.pipeline import Outcome, ScanFiles


def find_scans(
    folder: Path, *, file_ending: str, channels: int, previous_stage: Path | None = None
) -> tuple[list[ScanFiles], list[Outcome]]:
    """The whole cases of a folder in the order of their names, and what is wrong with the others.

    Args:
        folder: Searched without what lies below it.
        file_ending: As dataset.json says.
        channels: How many each case must have.
        previous_stage: Folder with the masks of a cascade's first stage, CASE.nii.gz.

    Raises:
        FileNotFoundError: There is no such folder, or no scan in it.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"-i must be a folder, got {folder}. Correct the path.")
    pattern = re.compile(rf"(?P<case>.+)_(?P<channel>\d{{4}}){re.escape(file_ending)}")
    found: dict[str, dict[int, Path]] = {}
    for path in sorted(folder.iterdir()):
        if (match := pattern.fullmatch(path.name)) and not path.name.startswith("."):
            found.setdefault(match["case"], {})[int(match["channel"])] = path
    if not found:
        raise FileNotFoundError(
            f"-i must hold scans named CASE_0000{file_ending}, got none in {folder}. Rename them, or convert them with "
            "nnunet-eas convert dicom."
        )
    cases, faults = [], []
    for identifier, files in found.items():
        mask = previous_stage / f"{identifier}{file_ending}" if previous_stage else None
        case = ScanFiles(identifier, tuple(files[channel] for channel in sorted(files)), mask)
        if sorted(files) != list(range(channels)):
            got = ", ".join(f"{channel:04d}" for channel in sorted(files))
            wanted = ", ".join(f"{channel:04d}" for channel in range(channels))
            faults.append(Outcome(case, f"its channels must be {wanted}, got {got}. Add or rename files."))
        elif mask is not None and not mask.is_file():
            faults.append(Outcome(case, f"its mask of the previous stage must be there, got no {mask.name}."))
        else:
            cases.append(case)
    return cases, faults


def still_to_do(cases: list[ScanFiles], output: Path, endings: Collection[str]) -> list[ScanFiles]:
    """The cases that lack one of their output files."""
    return [case for case in cases if not all((output / f"{case.identifier}{e}").is_file() for e in endings)]
