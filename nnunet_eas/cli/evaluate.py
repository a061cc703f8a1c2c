"""`nnunet-eas evaluate`: overlap, surface distances and volumes of predicted masks, with their definitions."""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nnunet_eas.evaluation.case_scores import Record
    from nnunet_eas.evaluation.cases import Case, Faults
    from nnunet_eas.evaluation.structures import Structures


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `evaluate` to the command's parser."""
    parser = subparsers.add_parser(
        "evaluate",
        help="compare predicted masks with references: Dice, HD95, ASSD, NSD and more",
        description="Compare predicted masks with references, case by case and structure by structure: Dice, IoU, "
        "precision, recall, Hausdorff distance, HD95, ASSD, NSD and volumes, in mm. The JSON file says what each "
        "number is. A faulty case is named there and on the screen; the others are evaluated all the same.",
    )
    parser.add_argument(
        "-ref", type=Path, metavar="DIR", help="reference masks; a trained model's are found where it was preprocessed"
    )
    parser.add_argument(
        "-pred",
        type=Path,
        required=True,
        metavar="DIR",
        help="predicted masks of the same names, or a trained model's folder: all its folds' validation cases",
    )
    parser.add_argument(
        "-djfile",
        type=Path,
        metavar="JSON",
        help="dataset.json with the structures' names (default: the one in -pred, if there is one)",
    )
    parser.add_argument(
        "-l", type=int, nargs="+", metavar="N", help="labels (default: -djfile's, or all that the references hold)"
    )
    parser.add_argument(
        "--tolerance-mm", type=float, default=1.0, metavar="MM", help="the NSD's tolerance (default: %(default)s)"
    )
    parser.add_argument("-o", type=Path, required=True, metavar="JSON", help="file for the results")
    parser.add_argument("--csv", type=Path, metavar="CSV", help="also write a table, a line per case and structure")
    cores = os.cpu_count() or 1
    parser.add_argument("--workers", type=int, default=cores, metavar="N", help="processes (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Evaluate, write, print; 0. Where there are faulty cases it ends in a ValueError once all others are written."""
    _check(args)
    from nnunet_eas.evaluation.output import write_csv, write_json
    from nnunet_eas.evaluation.structures import Structures, chosen, read_dataset_json, structures_of_dataset
    from nnunet_eas.evaluation.summary import summarise
    from nnunet_eas.evaluation.table import table

    beside = args.pred / "dataset.json"
    dataset_file = args.djfile or (beside if beside.is_file() else None)
    dataset = read_dataset_json(dataset_file) if dataset_file else None
    structures = structures_of_dataset(dataset["labels"]) if dataset else Structures({})
    cases, faults = _find(args, dataset.get("file_ending") if dataset else None)
    if args.l or dataset is None:
        structures = chosen(args.l or _labels_of(cases, args.workers), structures)

    records, of_cases = _score(cases, structures, args)
    faults = dict(sorted({**faults, **of_cases}.items()))
    content = summarise(records, faults, structures, args.tolerance_mm)
    write_json(args.o, content)
    if args.csv:
        write_csv(args.csv, content)
    if records:
        print(table(content))
    print(f"{content['cases']} cases in {args.o}", flush=True)
    for name, found in faults.items():
        print(f"left out {name}: {'; '.join(found)}", file=sys.stderr)
    if faults:
        raise ValueError(
            f"-pred must fit -ref in all cases, got faults in {', '.join(faults)}. Mend what is said above; the other "
            f"{content['cases']} cases are evaluated."
        )
    return 0


def _check(args: argparse.Namespace) -> None:
    """What is wrong with the arguments shows before the work, not after it."""
    if args.workers < 1:
        raise ValueError(f"--workers must be at least 1, got {args.workers}. Give the number of processes.")
    if not 0 <= args.tolerance_mm < math.inf:
        raise ValueError(f"--tolerance-mm must be 0 or more, got {args.tolerance_mm}. Give a length in mm.")
    if not args.pred.is_dir():
        raise FileNotFoundError(f"-pred must be a folder, got {args.pred}. Correct the path.")
    if args.csv and args.csv.resolve() == args.o.resolve():
        raise ValueError(f"--csv must be another file than -o, got {args.csv} for both. Give another name.")
    outputs = {"-o": args.o, "--csv": args.csv} if args.csv else {"-o": args.o}
    for argument, path in outputs.items():
        if path.is_dir():
            raise IsADirectoryError(f"{argument} must be a file, got the folder {path}. Give a name in it.")
        path.parent.mkdir(parents=True, exist_ok=True)


def _find(args: argparse.Namespace, file_ending: str | None) -> tuple[list[Case], Faults]:
    """The cases on both sides, and what is wrong with those on one side only."""
    from nnunet_eas.evaluation.cases import check_filled, masks_in, matched
    from nnunet_eas.evaluation.model_folder import folds_in, preprocessed_dataset, split_cases, validation_masks

    folds = folds_in(args.pred)
    faults: Faults = {}
    wanted: set[str] | None = None
    if folds:
        dataset = preprocessed_dataset(args.pred, os.environ.get("nnUNet_preprocessed"))
        reference = args.ref or (dataset / "gt_segmentations" if dataset else None)
        predictions, faults = validation_masks(folds, file_ending)
        wanted = split_cases(folds, dataset)
        print(f"validation cases of {', '.join(fold.name for fold in folds)}", flush=True)
        if folds[0].name == "fold_all":
            print("warning: fold_all was trained on the very cases that it is evaluated on", file=sys.stderr)
    else:
        reference = args.ref
        predictions = masks_in(args.pred, file_ending)
    if reference is None:
        raise ValueError(
            "-ref must be a folder of masks, got nothing. Give it, or give -pred a trained model's folder "
            "(TRAINER__PLANS__CONFIGURATION) and set nnUNet_preprocessed to where its dataset has gt_segmentations."
        )
    if reference.resolve() == args.pred.resolve():
        raise ValueError(f"-pred must be another folder than -ref, got {args.pred} for both. Give the predictions.")
    references = masks_in(reference, file_ending)
    check_filled(references, "-ref", reference)
    check_filled(predictions, "-pred", args.pred)
    if not set(references) & set(predictions):
        raise ValueError(
            f"-pred must hold masks named as those in -ref, got {min(predictions)} and so on where -ref has "
            f"{min(references)}. Give the folder of the predicted masks, or rename them."
        )
    cases, unmatched = matched(references, predictions, references if wanted is None else wanted)
    return cases, {**faults, **unmatched}


def _labels_of(cases: Sequence[Case], workers: int) -> list[int]:
    """All labels that the references hold."""
    from nnunet_eas.evaluation.case_scores import labels_in
    from nnunet_eas.support.parallel import for_all

    references = [case.reference for case in cases]
    found = for_all(labels_in, references, workers=workers, description="reading labels")
    labels = frozenset[int]().union(*(of_one for _, of_one in found))
    if not labels:
        raise ValueError(f"-ref must hold labels, got none in {len(cases)} masks that can be read. Give others, or -l.")
    return sorted(labels)


def _score(cases: Sequence[Case], structures: Structures, args: argparse.Namespace) -> tuple[list[Record], Faults]:
    """The records of all sound cases in the cases' order, and what is wrong with the others."""
    from nnunet_eas.evaluation.case_scores import Job, score_case
    from nnunet_eas.support.parallel import for_all

    jobs = [Job(case, structures, args.tolerance_mm) for case in cases]
    scores = {
        job.case.identifier: score
        for job, score in for_all(score_case, jobs, workers=args.workers, description="evaluating")
    }
    records = [record for case in cases for record in scores[case.identifier].records]
    return records, {case: score.faults for case, score in scores.items() if score.faults}
