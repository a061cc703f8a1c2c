"""Trainers with another schedule than nnU-Net's 1000 epochs: shorter, until it flattens, the paper's, the demo's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from nnunetv2.training.lr_scheduler.polylr import PolyLRScheduler
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from nnunet_eas.demo.settings import FULL_SCHEDULE, QUICK_SCHEDULE, Schedule
from nnunet_eas.trainer.eas_unet_trainer import EASUNetTrainer


class EASUNetTrainer_5epochs(EASUNetTrainer):
    """EASUNetTrainer for 5 epochs: enough to see that everything runs."""

    settings = {"num_epochs": 5}


class EASUNetTrainer_20epochs(EASUNetTrainer):
    """EASUNetTrainer for 20 epochs."""

    settings = {"num_epochs": 20}


class EASUNetTrainer_50epochs(EASUNetTrainer):
    """EASUNetTrainer for 50 epochs."""

    settings = {"num_epochs": 50}


class EASUNetTrainer_100epochs(EASUNetTrainer):
    """EASUNetTrainer for 100 epochs."""

    settings = {"num_epochs": 100}


class EASUNetTrainer_250epochs(EASUNetTrainer):
    """EASUNetTrainer for 250 epochs."""

    settings = {"num_epochs": 250}


def _demo_settings(schedule: Schedule) -> dict[str, float]:
    return {
        "num_epochs": schedule.epochs,
        "num_iterations_per_epoch": schedule.iterations,
        "num_val_iterations_per_epoch": schedule.validation_iterations,
        "save_every": 1,  # a killed demo resumes after its last epoch, and one epoch is a sizeable part of it
    }


class EASUNetTrainer_demo(EASUNetTrainer):
    """EASUNetTrainer with the schedule of `nnunet-eas demo`, for small synthetic knees only."""

    settings = _demo_settings(FULL_SCHEDULE)


class EASUNetTrainer_demo_quick(EASUNetTrainer):
    """EASUNetTrainer with the schedule of `nnunet-eas demo --quick`, which learns almost nothing."""

    settings = _demo_settings(QUICK_SCHEDULE)


class EASUNetTrainer_earlystop(EASUNetTrainer):
    """EASUNetTrainer that ends once the pseudo Dice has not risen for `patience` epochs.

    It watches nnU-Net's moving average over epochs, by which nnU-Net also chooses checkpoint_best.pth, and keeps the
    weights of its last epoch. The learning rate still falls over all `num_epochs`: a training that stops early has not
    had its small steps.
    """

    patience = 100  # epochs without a gain
    least_gain = 1e-3  # smallest rise of the pseudo Dice that counts as a gain

    def run_training(self) -> None:
        """Trains as nnU-Net does; a training that stopped early and is resumed (`--c`) trains no further."""
        if self._has_flattened():
            self.print_to_log_file("The training was stopped early before; there is nothing left to train.")
            return
        try:
            super().run_training()
        except _Flattened:
            self.on_train_end()

    def on_epoch_end(self) -> None:
        """Ends the epoch as nnU-Net does, and the training where the pseudo Dice has flattened."""
        super().on_epoch_end()
        if self.current_epoch < self.num_epochs and self._has_flattened():
            self.print_to_log_file(f"No gain of {self.least_gain} in {self.patience} epochs: stopped early.")
            raise _Flattened

    def _has_flattened(self) -> bool:
        averages = self.logger.get_value("ema_fg_dice", step=None)[: self.current_epoch]
        return epochs_without_gain(averages, self.least_gain) >= self.patience


class _Flattened(Exception):
    """Leaves nnU-Net's loop over the epochs."""


def epochs_without_gain(values: Sequence[float], least_gain: float) -> int:
    """Number of values after the last one that was `least_gain` above the best before it; the first one always is."""
    best, since = float("-inf"), 0
    for value in values:
        best, since = (value, 0) if value >= best + least_gain else (best, since + 1)
    return since


class EASUNetTrainer_paper(EASUNetTrainer):
    """EASUNetTrainer with the network, optimiser and schedule of Bi et al. (2023).

    The network has no shortcuts, an EAS module that is not added to its input, and in 3-D instance norm. Plans that
    name an EAS U-Net keep the switches in which they differ from those of EASUNetTrainer.

    SGD with learning rate 0.01 throughout, momentum 0.9 and weight decay 1e-4, for 50 epochs, in batches of 16 slices.
    The paper has no 3-D configuration: there the plan's batch size stays. One epoch is one pass over the training
    slices; in 3-D, as many patches as have the training scans' voxels. Differs from the paper in sampling and
    augmentation, which stay nnU-Net's: random patches, a third of them on foreground.
    """

    of_the_paper = True
    settings = {"num_epochs": 50, "weight_decay": 1e-4}

    @classmethod
    def prepare_plans(
        cls, plans: dict[str, Any], configuration: str, trained: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Plans as EASUNetTrainer prepares them, with the paper's batch size in 2d."""
        prepared = super().prepare_plans(plans, configuration, trained)
        planned = PlansManager(prepared).get_configuration(configuration)
        if len(planned.patch_size) == 2:
            own = prepared["configurations"][configuration]
            if planned.batch_size < 16:  # memory was counted for fewer images
                own["recompute"] = True
            own["batch_size"] = 16
        return prepared

    def configure_optimizers(self) -> tuple[torch.optim.Optimizer, PolyLRScheduler]:
        """SGD with plain momentum, and a constant learning rate."""
        optimizer = torch.optim.SGD(
            self.network.parameters(), self.initial_lr, momentum=0.9, weight_decay=self.weight_decay
        )
        return optimizer, PolyLRScheduler(optimizer, self.initial_lr, self.num_epochs, exponent=0)  # 0 keeps the rate

    def on_train_start(self) -> None:
        """Starts as nnU-Net does, then sets the length of an epoch, because only then the training data are known."""
        super().on_train_start()
        patch_size = self.configuration_manager.patch_size
        train_keys, _ = self.do_split()
        dataset = self.dataset_class(self.preprocessed_dataset_folder, train_keys)
        shapes = [dataset.load_case(key)[0].shape[1:] for key in train_keys]  # opens the files, reads no voxels
        slices, voxels = sum(shape[0] for shape in shapes), sum(math.prod(shape) for shape in shapes)
        samples = slices if len(patch_size) == 2 else voxels / math.prod(patch_size)
        self.num_iterations_per_epoch = max(1, math.ceil(samples / self.configuration_manager.batch_size))
        self.print_to_log_file(f"One pass over the training data: {self.num_iterations_per_epoch} iterations an epoch")
