"""A trained model's folder with all that nnU-Net leaves there, naming cases wherever nnU-Net does."""

from __future__ import annotations

import json

from inference.tiny_models import write_model
from nnunetv2.postprocessing.remove_connected_components import remove_all_but_largest_component_from_segmentation
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from nnunet_eas.trainer import EASUNetTrainer

TRAINERS = {"eas": EASUNetTrainer, "stock": nnUNetTrainer}
CASES = ("miller_1957", "schmidt_1961")
DATASET = "Dataset906_Tiny"
POSTPROCESSING = (
    [remove_all_but_largest_component_from_segmentation] * 2,
    [{"labels_or_regions": [1, (1, 2)]}, {"labels_or_regions": (1, 2), "background_label": 0}],
)


def write_results(folder):
    """Writes what nnU-Net's training leaves beside the checkpoints."""
    spacings = {"spacings": [[2.4, 1.2, 0.9]] * 2, "shapes_after_crop": [[14, 22, 30]] * 2}
    intensities = {"foreground_intensity_properties_per_channel": {"0": {"mean": 5.0, "percentile_00_5": 0.5}}}
    (folder / "dataset_fingerprint.json").write_text(json.dumps({**spacings, **intensities}))
    for number, fold in enumerate(sorted(folder.glob("fold_*"))):
        (fold / "validation").mkdir()
        metrics = {"1": {"Dice": 0.5 + number / 10, "TP": 3.0}, "2": {"Dice": 0.75, "TP": 3.0}}
        case = f"/data/{CASES[number % 2]}.nii.gz"
        per_case = [{"metrics": metrics, "prediction_file": case, "reference_file": case}]
        summary = {"foreground_mean": {"Dice": 0.6}, "mean": metrics, "metric_per_case": per_case}
        (fold / "validation" / "summary.json").write_text(json.dumps(summary))
    return folder


def write_trained(parent, configuration="2d", which="stock", folds=(0, 1)):
    listed = [{"image": f"./imagesTr/{case}.nii.gz", "label": f"./labelsTr/{case}.nii.gz"} for case in CASES]
    of_cases = {"training": listed, "dataset": {case: {"images": [case], "label": case} for case in CASES}}
    more = {"description": f"with {CASES[0]}", "converted_by": CASES[1], **of_cases}
    return write_results(write_model(parent, configuration, trainer=TRAINERS[which], folds=folds, **more))
