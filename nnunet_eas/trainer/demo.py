"""The demo's schedules: what a CPU of two cores can do in a few minutes."""

from __future__ import annotations

import torch

from nnunet_eas.demo.settings import FULL_SCHEDULE, QUICK_SCHEDULE
from nnunet_eas.trainer.eas_unet_trainer import EASUNetTrainer


class EASUNetTrainer_demo(EASUNetTrainer):
    """EASUNetTrainer with a schedule of a few minutes, for small phantoms only."""

    schedule = FULL_SCHEDULE

    def __init__(
        self,
        plans: dict,
        configuration: str,
        fold: int,
        dataset_json: dict,
        device: torch.device = torch.device("cuda"),  # noqa: B008  the host's signature
    ) -> None:
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.num_epochs = self.schedule.epochs
        self.num_iterations_per_epoch = self.schedule.iterations
        self.num_val_iterations_per_epoch = self.schedule.validation_iterations
        self.save_every = 1  # an epoch is a sizeable part of the whole: a killed demo goes on where it was


class EASUNetTrainer_demo_quick(EASUNetTrainer_demo):
    """A schedule that only shows that the way is open: it learns next to nothing."""

    schedule = QUICK_SCHEDULE
