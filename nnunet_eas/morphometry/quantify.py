"""Measures the structures in masks: volume, surface, thickness, and the bone that cartilage covers and leaves bare."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import SimpleITK as sitk

from nnunet_eas.evaluation.mask_file import ENDINGS, check_filled, masks_in
from nnunet_eas.evaluation.structures import chosen, find_structures, labels_in
from nnunet_eas.morphometry.bone import given_bones, known_bones
from nnunet_eas.morphometry.case import Measured, label, measure_case
from nnunet_eas.morphometry.measures import COLUMNS
from nnunet_eas.support.errors import PartialSuccess, printable
from nnunet_eas.support.files import write_csv
from nnunet_eas.support.kept_results import KeptResults
from nnunet_eas.support.outputs import check_output_folder
from nnunet_eas.support.parallel import all_results, check_workers

_NNUNET_FOLDERS = ("labelsTr", "labelsTs", "gt_segmentations", "validation")
"""Folders of masks, whose dataset.json nnU-Net keeps one or two folders above."""


@dataclass(frozen=True)
class Quantification:
    """Measured structures.

    Attributes:
        rows: A dictionary for each case and structure, with the keys `measures.COLUMNS`, which `measures` defines;
            undefined numbers are NaN.
        cases: Identifiers of the measured cases.
        notes: Sentences on missing structures and missing bones.
    """

    rows: list[dict[str, Any]]
    cases: list[str]
    notes: list[str]

    def write_csv(self, path: str | Path) -> None:
        """Writes `rows` as a table, numbers with four digits after the point; undefined numbers are empty."""
        rows = [{column: _cell(row[column]) for column in COLUMNS} for row in self.rows]
        write_csv(Path(path), COLUMNS, rows)


def quantify(
    masks: str | Path | sitk.Image,
    *,
    labels: int | Iterable[int] | None = None,
    bones: Mapping[str | int, str | int] | None = None,
    dataset_json: str | Path | None = None,
    maps: str | Path | None = None,
    unfinished: str | Path | None = None,
    workers: int = 1,
    progress: bool = False,
) -> Quantification:
    """Measures the structures in 3-D masks, in mm; `nnunet_eas.morphometry.measures` defines the numbers.

    Args:
        masks: Folder of masks, one file, or one image.
        labels: Label values to measure. None takes all structures of dataset.json, or without one all labels that the
            masks hold.
        bones: Bone of each cartilage, both by name or by number. None takes femoral_cartilage: femur,
            tibial_cartilage: tibia and patellar_cartilage: patella where dataset.json has these names.
        dataset_json: dataset.json with the structures' names. None takes the one beside the masks, if there is one.
        maps: Folder for pictures of the thickness, CASE_NAME.png; None draws none.
        unfinished: File in which measured cases are kept, so that a call which was interrupted goes on when it is made
            again; the caller removes it. None keeps nothing.
        workers: Processes. More than one start anew, so that a script needs `if __name__ == "__main__":`.
        progress: Show progress bars on terminals.

    Returns:
        The table and notes on it.

    Raises:
        FileNotFoundError: The masks or dataset.json are missing.
        OSError: The folder of the maps can't be written.
        TypeError: The masks are neither a path nor an image.
        ValueError: An argument is out of range, there are scans among the masks, or without `labels` the masks are
            empty. A given label that no mask holds is no error: its rows are 0, and `notes` say so.
        PartialSuccess: Some masks could not be measured; its `result` has the rows of the others.

    Example:
        >>> import numpy as np, SimpleITK as sitk
        >>> from nnunet_eas import quantify
        >>> plate = np.zeros((12, 40, 40), np.uint8)
        >>> plate[4:8] = 1
        >>> row = quantify(sitk.GetImageFromArray(plate)).rows[0]
        >>> row["volume_mm3"], round(row["mean_thickness_mm"])
        (6400.0, 4)
    """
    check_workers(workers)
    if not isinstance(masks, (str, Path, sitk.Image)):
        raise TypeError(
            f"masks must be a path or a SimpleITK image, got {type(masks).__name__}. Of a Prediction, give its mask or "
            "file."
        )
    folder = None
    if not isinstance(masks, sitk.Image):
        masks = Path(masks)
        folder = masks if masks.is_dir() else masks.parent
    known, file_ending = find_structures(dataset_json, folder)
    sources = _sources(masks, file_ending)
    if maps is not None:
        if isinstance(masks, Path) and Path(maps).resolve() == masks.resolve():
            raise ValueError(f"maps must be another folder than masks, got {maps}. PNG files there count as masks.")
        check_output_folder(Path(maps), "maps")
    if labels is None and known.known is None:
        labels = labels_in([files[0] for files in sources.values()], workers, progress)
    structures = known if labels is None else chosen(labels, known)
    measure = partial(
        measure_case,
        structures=structures,
        bones=known_bones(known, structures) if bones is None else given_bones(bones, known, structures),
        maps=None if maps is None else Path(maps),
        titles=_titles(folder),
    )
    kept = KeptResults(unfinished, Measured, structures, measure.keywords["bones"], maps)
    results = all_results(
        measure,
        list(sources.items()),
        workers=workers,
        description="measuring",
        progress=progress,
        known=lambda source: kept.get(source[1]),
        keep=lambda source, measured: kept.add(source[1], measured) if measured.fault is None else None,
    )
    faults = {case: found.fault for case, found in zip(sources, results, strict=True) if found.fault}
    if not structures.values and not faults:
        raise ValueError(f"masks must hold labels, got none in {len(sources)} masks. Give others, or labels (-l).")
    rows = [row for found in results for row in found.rows]
    missing = [
        f"no mask holds label {label(values)}{'' if name == label(values) else f', {name}'}; its rows are 0"
        for name, values in structures.values.items()
        if rows and not any(row["volume_mm3"] for row in rows if row["name"] == name)
    ]
    cases = [case for case in sources if case not in faults]
    result = Quantification(rows, cases, missing + [note for found in results for note in found.notes])
    if faults:
        names = ", ".join(map(printable, faults))
        raise PartialSuccess(
            f"masks must be sound, got faults in {names}. Correct these cases; the other {len(cases)} are measured.",
            result,
            faults,
        )
    return result


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return None if math.isnan(value) else round(value, 4)
    return value


def _sources(masks: Path | sitk.Image, file_ending: str | None) -> dict[str, Sequence[Path | sitk.Image]]:
    """The masks by case identifier."""
    if isinstance(masks, sitk.Image):
        return {"image": [masks]}
    if not masks.exists():
        raise FileNotFoundError(f"masks must be a folder or a file, got {masks}. Correct the path.")
    if masks.is_dir():
        found = masks_in(masks, file_ending)
        check_filled(found, "masks", masks)
        return dict(found)
    ending = next((ending for ending in ENDINGS if masks.name.endswith(ending)), None)
    if ending is None:
        raise ValueError(f"masks must end in one of {' '.join(ENDINGS)}, got {masks}. Convert it.")
    return {masks.name.removesuffix(ending): [masks]}


def _titles(folder: Path | None) -> dict[tuple[int, ...], str]:
    """Names for pictures, by label values, of masks without a dataset.json that lie in one of nnU-Net's own folders."""
    names: dict[tuple[int, ...], str] = {}
    if folder is not None and folder.resolve().name in _NNUNET_FOLDERS:
        for above in folder.resolve().parents[:2]:
            with suppress(ValueError):
                names |= {values: name for name, values in find_structures(None, above)[0].values.items()}
    return names
