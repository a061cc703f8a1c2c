"""Every command that reads or writes files, on a copy of the bench in one folder."""

from __future__ import annotations

import shutil
from pathlib import Path

from benchmarks.checks.fault_bench import CONFIGURATION, ID, NAME, PLANS, TRAINER, FaultBench

KEPT = "crossval_results_folds_0_1"
"""The folder, in a model's, of what its folds predicted together."""


def copy_bench(bench: FaultBench, folder: Path) -> None:
    """Copies the dataset, the model and one scan into a folder."""
    for part in ("raw", "preprocessed", "results", "knees"):
        shutil.copytree(bench.work / part, folder / part)
    shutil.copy(bench.work / "model.nnunet.zip", folder)
    (folder / "scans").mkdir()
    shutil.copy(bench.work / "scans" / f"{bench.cases[0]}_0000.nii.gz", folder / "scans")


def model_in(folder: Path) -> Path:
    """The trained model's folder below a copy of the bench."""
    return folder / "results" / NAME / f"{TRAINER}__{PLANS}__{CONFIGURATION}"


def all_commands(folder: Path) -> dict[str, list[str]]:
    """Every command on a copy of the bench, by name; what it writes is in the same folder."""
    model, packed, out = str(model_in(folder)), str(folder / "model.nnunet.zip"), str(folder / "out")
    scans = ["-i", str(folder / "scans"), "-device", "cpu"]
    raw = str(folder / "raw" / NAME)
    plan = ["-d", ID, "-overwrite_plans_name", "Other"]
    return {
        "predict": ["nnunet-eas", "predict", *scans, "-o", out, "-m", model, "-f", "0"],
        "predict, packed": ["nnunet-eas", "predict", *scans, "-o", out, "-m", packed, "-f", "0"],
        "predict-best": ["nnunet-eas", "predict-best", *scans, "-o", out, "-d", ID],
        "export": ["nnunet-eas", "export", model, "--to", "onnx", "-f", "0", "-o", f"{out}.onnx"],
        "export, packed": ["nnunet-eas", "export", packed, "--to", "onnx", "-f", "0", "-o", f"{out}.onnx"],
        "pack": ["nnunet-eas", "pack", model, "-o", f"{out}.nnunet.zip"],
        "pack, best": ["nnunet-eas", "pack", "-d", ID, "-o", f"{out}.nnunet.zip"],
        "unpack": ["nnunet-eas", "unpack", packed, "-o", out],
        "inspect": ["nnunet-eas", "inspect", str(folder)],
        "report": ["nnunet-eas", "report", model, "-o", f"{out}.html", "--workers", "1"],
        "evaluate": ["nnunet-eas", "evaluate", "-pred", model, "-o", f"{out}.json", "--workers", "1"],
        "quantify": ["nnunet-eas", "quantify", f"{model}/fold_0/validation", "-o", f"{out}.csv", "--workers", "1"],
        "status": ["nnunet-eas", "status", "-d", ID],
        "crossval": [
            *("nnunet-eas", "crossval", "-d", ID, "-c", CONFIGURATION, "-p", PLANS, "-tr", TRAINER),
            *("--folds", "0", "1", "-device", "cpu", "--workers", "1", "--retries", "0"),
        ],
        "plan_experiment": ["nnunet-eas", "plan_experiment", *plan],
        "plan_and_preprocess": ["nnunet-eas", "plan_and_preprocess", *plan, "-c", "2d", "-np", "1", "-npfp", "1"],
        "plan_info": ["nnunet-eas", "plan_info", "-d", ID, "-p", PLANS],
        "convert verify": ["nnunet-eas", "convert", "verify", raw],
        "convert oai-zib": [
            *("nnunet-eas", "convert", "oai-zib", "--archive", f"{folder}/knees/archive"),
            *("--mri", f"{folder}/knees/mri", "-d", "7", "--output", f"{out}_raw", "--workers", "1"),
        ],
        "convert dicom": [
            *("nnunet-eas", "convert", "dicom", "-i", f"{folder}/knees/mri", "-o", f"{out}_scans", "--workers", "1"),
        ],
        "convert nnunet": [
            *("nnunet-eas", "convert", "nnunet", "--source", raw, "-d", "8", "--output", f"{out}_raw"),
            *("--workers", "1"),
        ],
        "nnUNetv2_train --c": ["nnUNetv2_train", ID, CONFIGURATION, "0", "-tr", TRAINER, "-device", "cpu", "--c"],
    }
