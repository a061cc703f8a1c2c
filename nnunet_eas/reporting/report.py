"""Compares trained models of one dataset on one HTML page."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from nnunet_eas.evaluation.case_scores import score_cases
from nnunet_eas.evaluation.cases import Faults, find_cases
from nnunet_eas.evaluation.metrics import check_tolerance
from nnunet_eas.evaluation.summary import summarise
from nnunet_eas.reporting.choice import case_scores, left_out_cases, shown_cases
from nnunet_eas.reporting.model import read_models
from nnunet_eas.reporting.page import page
from nnunet_eas.reporting.pictures import draw_case
from nnunet_eas.reporting.scan import scans_in
from nnunet_eas.reporting.training_log import read_curve
from nnunet_eas.support.errors import PartialSuccess
from nnunet_eas.support.files import write_text
from nnunet_eas.support.outputs import check_output_file
from nnunet_eas.support.parallel import all_results, check_workers


@dataclass(frozen=True)
class Report:
    """A page that compares trained models.

    Attributes:
        html: The page, which needs no other file.
        models: The models' names on it.
        cases: Identifiers of the compared cases.
        left_out: By identifier of a case that is not compared, or name of a fold without masks, the reasons.
        without_scan: By identifier of a case that is shown without its scan, the reason.
        notes: Further sentences, which are on the page too.
    """

    html: str
    models: list[str]
    cases: list[str]
    left_out: Faults
    without_scan: dict[str, str]
    notes: list[str]


def report(
    models: Sequence[str | Path],
    output: str | Path | None = None,
    *,
    references: str | Path | None = None,
    images: str | Path | None = None,
    names: Sequence[str] | None = None,
    tolerance_mm: float = 1.0,
    workers: int = 1,
    progress: bool = False,
) -> Report:
    """Compares trained models on the validation cases that all of them have: metrics, pictures, curves, settings.

    The same input gives the same bytes.

    Args:
        models: Trained models' folders, TRAINER__PLANS__CONFIGURATION, all of one dataset.
        output: HTML file to write. None writes no file.
        references: Folder of the reference masks. None takes gt_segmentations in nnUNet_preprocessed.
        images: Folder of the scans. None takes imagesTr in nnUNet_raw, or draws without scans where it is missing.
        names: Names of the models on the page, in their order. None takes what differs in the folders' names.
        tolerance_mm: Distance in mm within which the normalised surface distance (NSD) counts surfaces as equal.
        workers: Processes. More than one start anew, so that a script needs `if __name__ == "__main__":`.
        progress: Show progress bars on terminals.

    Returns:
        The page, and what was left out of it.

    Raises:
        FileNotFoundError: A folder is missing, is no trained model's, or has no masks.
        ValueError: An argument is out of range, the models do not belong together, or have no sound case in common.
        PartialSuccess: Some cases are faulty; its `result` has the page of the others, which is written.

    Example:
        >>> import os
        >>> from nnunet_eas import report
        >>> found = report([os.environ["MODEL"]], "report_of_api.html")  # or several trained models
        >>> "</html>" in found.html, len(found.cases) > 0
        (True, True)
    """
    check_workers(workers)
    check_tolerance(tolerance_mm)
    if images is not None and not Path(images).is_dir():
        raise FileNotFoundError(f"images (-images) must be a folder, got {images}. Correct the path.")
    trained = read_models([Path(model) for model in models], names)
    references = None if references is None else Path(references)
    cases, faults = {}, {}
    for model in trained:
        found, faults[model.name] = find_cases(model.path, references, model.file_ending)
        cases[model.name] = {case.identifier: case for case in found}
    if output is not None:
        check_output_file(Path(output), "output (-o)")

    structures = trained[0].structures
    common = sorted(set.intersection(*map(set, cases.values())))
    pairs = [(name, case) for name in cases for case in common]
    jobs = [cases[name][case] for name, case in pairs]
    scored = dict(zip(pairs, score_cases(jobs, structures, tolerance_mm, workers=workers, progress=progress)))
    for (name, case), of_case in scored.items():
        if of_case.faults:
            faults[name][case] = of_case.faults
    left_out = left_out_cases(cases, faults)
    sound = [case for case in common if case not in left_out]
    if not sound:
        reasons = "; ".join(f"{case}: {', '.join(why)}" for case, why in left_out.items())
        raise ValueError(f"the models must have a sound case in common, got none. {reasons}")
    contents = {}
    for name in cases:
        records = [record for case in sound for record in scored[name, case].records]
        contents[name] = summarise(records, {}, structures, tolerance_mm)
    scores = case_scores([content["per_case"] for content in contents.values()])
    roles = shown_cases(scores)

    notes = [
        f"{model.name}: fold_all was trained on the very cases that it is evaluated on."
        for model in trained
        if model.folds[0].name == "fold_all"
    ]
    if images is None and os.environ.get("nnUNet_raw"):
        in_raw = Path(os.environ["nnUNet_raw"], trained[0].dataset_name, "imagesTr")
        images = in_raw if in_raw.is_dir() else None
    if images is None:
        notes.append(
            "The pictures have no scans: images (-images) are not given, and nnUNet_raw has no imagesTr of the dataset."
        )
    scans = {} if images is None else scans_in(Path(images), trained[0].file_ending)
    drawings = []
    for case in roles:
        of_models = [of_model[case] for of_model in cases.values()]
        masks = [of_models[0].reference, *(of_one.prediction for of_one in of_models)]
        drawings.append((case, masks, None if images is None else scans.get(case, [])))
    draw = partial(draw_case, structures=structures)
    pictures = all_results(draw, drawings, workers=workers, description="drawing", progress=progress)
    folds = {  # PREDICTION lies in fold_NUMBER/validation
        name: {case: Path(str(of_model[case].prediction)).parts[-3].removeprefix("fold_") for case in sound}
        for name, of_model in cases.items()
    }
    html = page(
        trained,
        contents,
        folds=folds,
        curves={model.name: {fold.name: read_curve(fold) for fold in model.folds} for model in trained},
        scores=scores,
        roles=roles,
        pictures=pictures,
        left_out=left_out,
        notes=notes,
    )
    without_scan = {of_case.case: of_case.fault for of_case in pictures if of_case.fault}
    result = Report(html, list(cases), sound, left_out, without_scan, notes)
    if output is not None:
        write_text(Path(output), result.html)
    faulty_names = set().union(*faults.values())
    faulty = {case: "; ".join(why) for case, why in left_out.items() if case in faulty_names} | without_scan
    if faulty:
        raise PartialSuccess(
            f"all cases of the models must be sound, got faults in {', '.join(faulty)}. Correct these cases and run "
            f"again; {output or 'the page'} has all others.",
            result,
            faulty,
        )
    return result
