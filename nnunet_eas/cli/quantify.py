"""`nnunet-eas quantify`: volume, surface and thickness of the structures in masks, with their definitions."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nnunet_eas.morphometry.case import Job, Quantified


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `quantify` to the command's parser."""
    parser = subparsers.add_parser(
        "quantify",
        help="measure the structures in masks: volume, thickness, surface, bare bone",
        description="Measure the structures in 3-D masks, in mm: volume, surface, the thickness of layers such as "
        "cartilage, in the mean, its spread and by region, and how much bone they cover and leave bare. A row per case "
        "and label. The definitions are in nnunet_eas/morphometry/measures.py. A faulty mask is named, the others are "
        "measured, and the exit status is then 1.",
    )
    parser.add_argument("masks", type=Path, metavar="MASKS", help="folder of masks, or one mask")
    parser.add_argument(
        "-l", type=int, nargs="+", metavar="N", help="labels (default: -djfile's, or all that the masks hold)"
    )
    parser.add_argument("-o", type=Path, required=True, metavar="CSV", help="file for the table")
    parser.add_argument("--maps", type=Path, metavar="DIR", help="also draw maps of thickness, as PNG, in this folder")
    parser.add_argument(
        "-djfile",
        type=Path,
        metavar="JSON",
        help="dataset.json with the structures' names (default: the one beside the masks, if there is one)",
    )
    parser.add_argument(
        "--bones",
        nargs="+",
        metavar="CARTILAGE=BONE",
        help="which bone a cartilage lies on, by name or number (default: dataset.json's femoral_cartilage=femur, "
        "tibial_cartilage=tibia, patellar_cartilage=patella)",
    )
    cores = os.cpu_count() or 1
    parser.add_argument("--workers", type=int, default=cores, metavar="N", help="processes (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Measure, write; 0. Where there are faulty masks it ends in a ValueError once the others are written."""
    _check(args)
    from nnunet_eas.evaluation.structures import Structures, chosen, read_dataset_json, structures_of_dataset
    from nnunet_eas.morphometry.case import Job, label
    from nnunet_eas.morphometry.pairs import given_bones, known_bones

    folder = args.masks if args.masks.is_dir() else args.masks.parent
    beside = folder / "dataset.json"
    file = args.djfile or (beside if beside.is_file() else None)
    dataset = read_dataset_json(file) if file else None
    masks = _find(args.masks, dataset.get("file_ending") if dataset else None)
    structures = known = structures_of_dataset(dataset["labels"]) if dataset else Structures({})
    if args.l or dataset is None:
        structures = chosen(args.l or _labels_in(masks, args.workers), known)
    bones = given_bones(args.bones, known, structures) if args.bones else known_bones(known, structures)

    results = _quantify([Job(case, files, structures, bones, args.maps) for case, files in masks.items()], args.workers)
    faults = {case: found.fault for case, found in results.items() if found.fault}
    if not structures.values and not faults:
        raise ValueError(f"MASKS must hold labels, got none in {len(masks)} masks. Give others, or -l.")
    rows = [row for found in results.values() for row in found.rows]
    _write(args.o, rows)
    print(f"{len(masks) - len(faults)} cases in {args.o}", flush=True)
    for name, values in structures.values.items():
        if rows and not any(row["volume_mm3"] for row in rows if row["name"] == name):
            print(f"warning: no mask holds label {label(values)}, {name}; its rows are 0", file=sys.stderr)
    for case, found in results.items():
        for note in found.notes:
            print(f"warning: {case}: {note}", file=sys.stderr)
    for case, fault in faults.items():
        print(f"left out {case}: {fault}", file=sys.stderr)
    if faults:
        raise ValueError(
            f"MASKS must be sound, got faults in {', '.join(faults)}. Mend what is said above; the other "
            f"{len(masks) - len(faults)} cases are measured."
        )
    return 0


def _check(args: argparse.Namespace) -> None:
    """What is wrong with the arguments shows before the work, not after it."""
    if args.workers < 1:
        raise ValueError(f"--workers must be at least 1, got {args.workers}. Give the number of processes.")
    if not args.masks.exists():
        raise FileNotFoundError(f"MASKS must be a folder or a file, got {args.masks}. Correct the path.")
    if args.o.is_dir():
        raise IsADirectoryError(f"-o must be a file, got the folder {args.o}. Give a name in it.")
    if args.maps and args.maps.resolve() == args.masks.resolve():
        raise ValueError(f"--maps must be another folder than MASKS, got {args.maps}. PNG files there count as masks.")
    for argument, folder in {"-o": args.o.parent, "--maps": args.maps or args.o.parent}.items():
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OSError(f"{argument} must lead to a folder, got {folder}: {error.strerror}. Give another.") from error
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(f"{argument} must lead where you may write, got {folder}. Give another folder.")


def _find(masks: Path, file_ending: str | None) -> dict[str, Sequence[Path]]:
    """The masks' files by case."""
    from nnunet_eas.evaluation.cases import check_filled, masks_in
    from nnunet_eas.evaluation.mask_file import ENDINGS

    if masks.is_dir():
        found = masks_in(masks, file_ending)
        check_filled(found, "MASKS", masks)
        return dict(found)
    ending = next((ending for ending in ENDINGS if masks.name.endswith(ending)), None)
    if ending is None:
        raise ValueError(f"MASKS must end in one of {' '.join(ENDINGS)}, got {masks}. Convert it.")
    return {masks.name.removesuffix(ending): [masks]}


def _labels_in(masks: Mapping[str, Sequence[Path]], workers: int) -> list[int]:
    """All labels that the masks hold."""
    from nnunet_eas.evaluation.case_scores import labels_in
    from nnunet_eas.support.parallel import for_all

    files = [files[0] for files in masks.values()]
    found = for_all(labels_in, files, workers=workers, description="reading labels")
    return sorted(frozenset[int]().union(*(labels for _, labels in found)))


def _quantify(jobs: Sequence[Job], workers: int) -> dict[str, Quantified]:
    """What comes of each case, in the cases' order."""
    from nnunet_eas.morphometry.case import quantify
    from nnunet_eas.support.parallel import for_all

    found = {job.case: of_case for job, of_case in for_all(quantify, jobs, workers=workers, description="measuring")}
    return {job.case: found[job.case] for job in jobs}


def _write(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """A row per case and label; what is undefined stays empty."""
    import csv
    import io
    import math

    from nnunet_eas.evaluation.output import write_text
    from nnunet_eas.morphometry.measures import COLUMNS

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        cells = [round(row[name], 4) if isinstance(row[name], float) else row[name] for name in COLUMNS]
        writer.writerow(["" if isinstance(cell, float) and math.isnan(cell) else cell for cell in cells])
    write_text(path, text.getvalue())
