"""Pictures of the demo: scan, truth and prediction side by side, and the training's curves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from nnunet_eas.phantom import LABELS

# Okabe and Ito's palette, which colour-blind people can tell apart
COLOURS = {"femur": "#0072B2", "femoral_cartilage": "#E69F00", "tibia": "#009E73", "tibial_cartilage": "#CC79A7"}


def draw_case(path: Path, case: str, scans: Path, truth: Path, predictions: Path, *, steps: int) -> None:
    """Draws a case of three folders as a PNG, in the sagittal slice with most tibial cartilage, which shows both.

    `steps` is the network's training, named where it predicts nothing.
    """
    image, *labels = [sitk.ReadImage(str(folder / f"{case}.nii.gz")) for folder in (scans, truth, predictions)]
    arrays = [sitk.GetArrayFromImage(shown) for shown in (image, *labels)]
    index = int(np.argmax((arrays[1] == LABELS["tibial_cartilage"]).sum(axis=(0, 1))))
    slices = [array[:, :, index] for array in arrays]
    _, spacing_y, spacing_z = image.GetSpacing()
    extent = (0, slices[0].shape[1] * spacing_y, 0, slices[0].shape[0] * spacing_z)
    placed: dict[str, Any] = {"origin": "lower", "extent": extent}  # z, the rows, grows towards the head

    figure = Figure(figsize=(12, 4.2), layout="constrained")
    axes = figure.subplots(1, 3)
    coloured: dict[str, Any] = {"cmap": ListedColormap(list(COLOURS.values())), "vmin": 1, "vmax": len(COLOURS)}
    for axis, name, shown in zip(axes, ("scan", "truth", prediction_title(slices[2], steps)), slices, strict=True):
        axis.imshow(slices[0], cmap="gray", vmin=0, vmax=1000, **placed)
        if name != "scan":
            axis.imshow(np.ma.masked_equal(shown, 0), alpha=0.55, interpolation="nearest", **coloured, **placed)
        axis.set(title=name, xticks=[], yticks=[])
    handles = [Patch(color=colour, label=name.replace("_", " ")) for name, colour in COLOURS.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)
    figure.suptitle(f"{case}, sagittal slice {index}, front is left")
    figure.savefig(path, dpi=110, format="png")


def prediction_title(labels: np.ndarray, steps: int) -> str:
    """The title of a prediction, which says so where the network predicts nothing."""
    return "prediction" if labels.any() else f"prediction: empty, after only {steps} training steps"


def draw_curves(path: Path, log: dict[str, Sequence[Any]], structures: Sequence[str]) -> None:
    """Draws losses and pseudo Dice (nnU-Net's estimate on random patches) from the "logging" of a checkpoint."""
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = np.arange(1, len(log["train_losses"]) + 1)
    left.plot(epochs, log["train_losses"], "o-", color="#0072B2", label="training")
    left.plot(epochs, log["val_losses"], "s--", color="#D55E00", label="validation")
    left.set(xlabel="epoch", ylabel="loss", title="loss")
    dice = np.asarray(log["dice_per_class_or_region"], dtype=float)
    for name, values, marker in zip(structures, dice.T, "osD^", strict=True):
        right.plot(epochs, values, marker=marker, color=COLOURS[name], label=name.replace("_", " "))
    right.set(xlabel="epoch", ylabel="Dice", ylim=(0, 1.02), title="pseudo Dice on validation slices")
    for axis in (left, right):
        axis.legend()
        axis.grid(alpha=0.3)
    figure.savefig(path, dpi=110, format="png")
