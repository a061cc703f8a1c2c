"""Trained models in files: two models, two folds, four tiny cases, written out voxel by voxel."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from evaluation.mask_files import SHAPE, SPACING, label_map, write_mask

DATASET = "Dataset001_Boxes"
LABELS = {"background": 0, "both": [1, 2], "box": 1, "corner": 2}
CASES = {"a": 0, "b": 0, "c": 1, "d": 1}  # and their folds
EAS, STOCK = "EASUNetTrainer__nnUNetPlans__2d", "nnUNetTrainer__nnUNetPlans__2d"
MODELS = {EAS: (0, 0, 1, 2), STOCK: (1, 0, 2, 3)}  # how far each case's box is off, in voxels
EPOCHS = 3

# slice 2 of the axis of 3 mm has most foreground: box and corner
BOX = (slice(1, 4), slice(2, 6), slice(1, 5))
CORNER = (slice(2, 3), slice(0, 2), slice(0, 1))

ARCHITECTURE = {
    "network_class_name": "nnunet_eas.network.eas_unet.EASUNet",
    "arch_kwargs": {"n_stages": 3, "kernel_sizes": [[3, 3]] * 3, "dropout_op": None, "eas_module": True},
}
DEBUG = {
    "num_epochs": "3",
    "network": "EASUNet",
    "gpu_name": "NVIDIA H200",
    "torch_version": "2.8.0",
    "hostname": "secret-host",
    "output_folder": "/home/secret-user/results",
}


def shifted(by: int) -> np.ndarray:
    """What is predicted: the box is off along the last axis, the corner is right."""
    box = (*BOX[:2], slice(BOX[2].start + by, BOX[2].stop + by))
    return label_map((1, box), (2, CORNER))


def log_lines(epoch: int, loss: float, dice: str, seconds: float = 2.5) -> str:
    """One epoch as nnU-Net logs it."""
    return "".join(
        f"2026-11-21 09:35:46.123456: {line} \n"
        for line in (
            f"Epoch {epoch}",
            f"Current learning rate: {0.01:.5f}",
            f"train_loss {loss}",
            f"val_loss {loss + 0.25}",
            f"Pseudo dice {dice}",
            f"Epoch time: {seconds} s",
        )
    )


def write_model(model: Path, offsets: tuple[int, ...], *, labels: dict | None = None) -> None:
    """A trained model's folder."""
    model.mkdir(parents=True)
    dataset = {"labels": labels or LABELS, "file_ending": ".nii.gz", "channel_names": {"0": "MR"}}
    configurations = {
        "2d": {"inherits_from": "base", "patch_size": [8, 10]},
        "base": {"batch_size": 7, "architecture": ARCHITECTURE},
    }
    (model / "dataset.json").write_text(json.dumps(dataset))
    (model / "plans.json").write_text(json.dumps({"dataset_name": DATASET, "configurations": configurations}))
    for (case, number), by in zip(CASES.items(), offsets, strict=True):
        fold = model / f"fold_{number}"
        write_mask(fold / "validation" / f"{case}.nii.gz", shifted(by))
        (fold / "debug.json").write_text(json.dumps(DEBUG))
        lines = [log_lines(epoch, -0.25 * epoch, f"[np.float32({0.25 * epoch}), 0.5]") for epoch in range(EPOCHS)]
        (fold / "training_log_2026_11_21_09_35_05.txt").write_text("".join(lines))


def write_data(folder: Path) -> None:
    """References in nnUNet_preprocessed and scans in nnUNet_raw, both below the folder."""
    rng = np.random.default_rng(0)
    for case in CASES:
        write_mask(folder / "preprocessed" / DATASET / "gt_segmentations" / f"{case}.nii.gz", shifted(0))
        scan = 100 * shifted(0) + rng.normal(0, 10, SHAPE)
        write_mask(folder / "raw" / DATASET / "imagesTr" / f"{case}_0000.nii.gz", scan.astype(np.float32), SPACING)
