"""`nnunet-eas report`: trained models side by side on one HTML page that needs nothing else."""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nnunet_eas.evaluation.case_scores import Scores
    from nnunet_eas.evaluation.cases import Faults
    from nnunet_eas.reporting.files import ModelCases
    from nnunet_eas.reporting.model import Model
    from nnunet_eas.reporting.page import Findings
    from nnunet_eas.reporting.pictures import PictureJob, Pictures


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `report` to the command's parser."""
    parser = subparsers.add_parser(
        "report",
        help="one HTML page that shows trained models side by side",
        description="Compare trained models of one dataset on the validation cases that all of them have: metrics with "
        "their definitions, distributions, best, median and worst case as pictures, training curves, settings. The "
        "page is one file that opens without network. The same input gives the same bytes.",
    )
    parser.add_argument(
        "models", type=Path, nargs="+", metavar="MODEL", help="trained model's folder, TRAINER__PLANS__CONFIGURATION"
    )
    parser.add_argument(
        "-ref", type=Path, metavar="DIR", help="reference masks (default: gt_segmentations in nnUNet_preprocessed)"
    )
    parser.add_argument("-images", type=Path, metavar="DIR", help="scans (default: imagesTr in nnUNet_raw)")
    parser.add_argument("--names", nargs="+", metavar="NAME", help="what to call the models, in their order")
    parser.add_argument(
        "--tolerance-mm", type=float, default=1.0, metavar="MM", help="the NSD's tolerance (default: %(default)s)"
    )
    parser.add_argument("-o", type=Path, required=True, metavar="HTML", help="file for the page")
    cores = os.cpu_count() or 1
    parser.add_argument("--workers", type=int, default=cores, metavar="N", help="processes (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Evaluate, draw, write; 0. Where there are faulty cases it ends in a ValueError once the page is written."""
    _check(args)
    from nnunet_eas.evaluation.output import write_text
    from nnunet_eas.reporting.files import find_cases
    from nnunet_eas.reporting.model import read_models
    from nnunet_eas.reporting.page import page

    models = read_models(args.models, args.names)
    found = find_cases(models, args.ref, os.environ.get("nnUNet_preprocessed"))
    args.o.parent.mkdir(parents=True, exist_ok=True)
    findings, is_faulty = _findings(models, found, args)
    write_text(args.o, page(findings))

    cases = findings.contents[models[0].name]["cases"]
    print(
        f"{cases} case{'s' if cases != 1 else ''} of {', '.join(model.name for model in models)} in {args.o}",
        flush=True,
    )
    for note in findings.notes:
        print(f"note: {note}", file=sys.stderr)
    for name, why in findings.left_out.items():
        print(f"left out {name}: {'; '.join(why)}", file=sys.stderr)
    for pictures in findings.pictures:
        for fault in pictures.faults:
            print(f"{pictures.case} is shown without its scan: {fault}", file=sys.stderr)
    if is_faulty:
        raise ValueError(
            f"the models' cases must be whole, got the faults above. Mend them and run again; {args.o} has all else."
        )
    return 0


def _check(args: argparse.Namespace) -> None:
    """What is wrong with the arguments shows before the work, not after it."""
    if args.workers < 1:
        raise ValueError(f"--workers must be at least 1, got {args.workers}. Give the number of processes.")
    if not 0 <= args.tolerance_mm < math.inf:
        raise ValueError(f"--tolerance-mm must be 0 or more, got {args.tolerance_mm}. Give a length in mm.")
    for argument, folder in (("-ref", args.ref), ("-images", args.images)):
        if folder is not None and not folder.is_dir():
            raise FileNotFoundError(f"{argument} must be a folder, got {folder}. Correct the path.")
    if args.o.is_dir():
        raise IsADirectoryError(f"-o must be a file, got the folder {args.o}. Give a name in it.")


def _findings(
    models: Sequence[Model], found: Mapping[str, ModelCases], args: argparse.Namespace
) -> tuple[Findings, bool]:
    """All that the page says, and whether a case is faulty."""
    from nnunet_eas.evaluation.summary import summarise
    from nnunet_eas.reporting.choice import case_scores, common_cases, shown_cases
    from nnunet_eas.reporting.files import images_folder, without_folders
    from nnunet_eas.reporting.page import Findings
    from nnunet_eas.reporting.training_log import read_curve

    structures = models[0].structures
    faults = {name: dict(of_model.faults) for name, of_model in found.items()}
    cases, missing = common_cases({name: of_model.cases for name, of_model in found.items()}, faults)
    scores = _score(models, found, cases, args)
    for (name, case), score in scores.items():
        if score.faults:
            faults[name][case] = score.faults
    sound = [case for case in cases if not any(case in of_model for of_model in faults.values())]
    left_out = _by_case(missing, faults)
    if not sound:
        reasons = "; ".join(f"{case}: {', '.join(why)}" for case, why in left_out.items())
        raise ValueError(f"the models must have a sound case in common, got none. {reasons}")
    contents = {
        model.name: summarise(
            [record for case in sound for record in scores[model.name, case].records], {}, structures, args.tolerance_mm
        )
        for model in models
    }

    order = case_scores([content["per_case"] for content in contents.values()])
    roles = shown_cases(order)
    images = images_folder(models[0], args.images, os.environ.get("nnUNet_raw"))
    pictures = _draw(models, found, list(roles), images, args.workers)
    notes = [
        f"{model.name}: fold_all was trained on the very cases that it is evaluated on."
        for model in models
        if model.folds[0].name == "fold_all"
    ]
    if images is None:
        notes.append("Pictures are without scans: neither -images nor imagesTr in nnUNet_raw was there.")
    findings = Findings(
        models=models,
        contents=contents,
        folds={name: {case: of_model.fold(case) for case in sound} for name, of_model in found.items()},
        curves={model.name: {fold.name: read_curve(fold) for fold in model.folds} for model in models},
        scores=order,
        roles=roles,
        pictures=pictures,
        left_out=without_folders(left_out, found),
        notes=notes,
    )
    return findings, any(faults.values()) or any(of_case.faults for of_case in pictures)


def _by_case(missing: Faults, faults: Mapping[str, Faults]) -> Faults:
    """Everything that is left out with the reasons, each with the model's name."""
    left_out = {case: list(why) for case, why in missing.items()}
    for name, of_model in faults.items():
        for case, why in of_model.items():
            left_out.setdefault(case, []).extend(f"{name}: {text}" for text in why)
    return dict(sorted(left_out.items()))


def _score(
    models: Sequence[Model], found: Mapping[str, ModelCases], cases: Sequence[str], args: argparse.Namespace
) -> dict[tuple[str, str], Scores]:
    """Per model and case."""
    from nnunet_eas.evaluation.case_scores import Job, score_case
    from nnunet_eas.support.parallel import for_all

    structures = models[0].structures
    jobs = {found[model.name].cases[case].prediction: (model.name, case) for model in models for case in cases}
    work = [Job(found[name].cases[case], structures, args.tolerance_mm) for name, case in jobs.values()]
    done = for_all(score_case, work, workers=args.workers, description="evaluating")
    return {jobs[job.case.prediction]: score for job, score in done}


def _draw(
    models: Sequence[Model],
    found: Mapping[str, ModelCases],
    cases: Sequence[str],
    images: Path | None,
    workers: int,
) -> list[Pictures]:
    """The pictures of the shown cases, in their order."""
    from nnunet_eas.reporting.pictures import PictureJob, draw_case
    from nnunet_eas.reporting.scan import scans_in
    from nnunet_eas.support.parallel import for_all

    scans = scans_in(images, models[0].file_ending) if images else {}
    jobs: list[PictureJob] = []
    for case in cases:
        of_models = [found[model.name].cases[case] for model in models]
        masks = (of_models[0].reference, *(of_one.prediction for of_one in of_models))
        jobs.append(PictureJob(case, masks, scans.get(case, ()), images is not None, models[0].structures))
    drawn = {job.case: done for job, done in for_all(draw_case, jobs, workers=workers, description="drawing")}
    return [drawn[case] for case in cases]
