"""A picture of the folds' training curves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from nnunet_eas.crossval.status import Status
from nnunet_eas.support.files import replacing

CHARTS = (("train_loss", "training loss"), ("val_loss", "validation loss"), ("pseudo_dice", "pseudo Dice"))


def draw(statuses: Sequence[Status], path: Path) -> None:
    """Draws a row of charts for each model, with a line for each fold that has ended an epoch."""
    models = list(dict.fromkeys(status.fold.model for status in statuses if status.curve))
    if not models:
        raise ValueError("--png needs a fold that has ended an epoch, got none. Look again later.")
    figure = Figure(figsize=(12, 3.2 * len(models)), layout="constrained")
    rows = figure.subplots(len(models), len(CHARTS), squeeze=False)
    for model, row in zip(models, rows, strict=True):
        for (column, title), axes in zip(CHARTS, row, strict=True):
            for status in statuses:
                if status.fold.model == model and status.curve:
                    epochs = [epoch + 1 for epoch in status.curve]
                    values = [getattr(epoch, column) for epoch in status.curve.values()]
                    axes.plot(epochs, values, label=f"fold {status.fold.number}", linewidth=1.2)
            axes.set(title=title, xlabel="epoch")
            axes.grid(alpha=0.3)
        row[0].set_ylabel(model, fontsize=8)
        row[-1].legend(fontsize=8)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=120, format="png")
