"""EASUNetTrainer_paper: the paper's optimiser and schedule."""

from __future__ import annotations

import math
from typing import Any

import torch
from nnunetv2.training.lr_scheduler.polylr import PolyLRScheduler
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from nnunet_eas.trainer.eas_unet_trainer import EASUNetTrainer


class EASUNetTrainer_paper(EASUNetTrainer):
    """Trains as Bi et al. (2023): SGD, learning rate 0.01 throughout, momentum 0.9, weight decay 1e-4, 50 epochs.

    Batches of 16 slices in 2d; the paper has no 3-D, there the plan's batch size stays. An epoch is as many iterations
    as pass over the training slices once (in 3-D: over as many voxels as the training scans have). Differs in the
    sampling, which stays nnU-Net's: random patches with a third of them on foreground, and its augmentation.
    """

    def __init__(
        self,
        plans: dict,
        configuration: str,
        fold: int,
        dataset_json: dict,
        device: torch.device = torch.device("cuda"),  # noqa: B008  the host's signature
    ) -> None:
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.num_epochs = 50
        self.weight_decay = 1e-4

    @classmethod
    def prepare_plans(cls, plans: dict[str, Any], configuration: str) -> dict[str, Any]:
        """As the base class, with the paper's batch size in 2d."""
        prepared = super().prepare_plans(plans, configuration)
        if len(PlansManager(prepared).get_configuration(configuration).patch_size) == 2:
            prepared["configurations"][configuration]["batch_size"] = 16
        return prepared

    def configure_optimizers(self) -> tuple[torch.optim.Optimizer, PolyLRScheduler]:
        """Plain momentum and a constant learning rate."""
        optimizer = torch.optim.SGD(
            self.network.parameters(), self.initial_lr, momentum=0.9, weight_decay=self.weight_decay
        )
        return optimizer, PolyLRScheduler(optimizer, self.initial_lr, self.num_epochs, exponent=0)  # constant

    def on_train_start(self) -> None:
        """As the host; then the length of an epoch is known, because the training data are."""
        super().on_train_start()
        self.num_iterations_per_epoch = self._iterations_for_one_pass()
        self.print_to_log_file(f"One pass over the training data: {self.num_iterations_per_epoch} iterations an epoch")

    def _iterations_for_one_pass(self) -> int:
        patch_size = self.configuration_manager.patch_size
        train_keys, _ = self.do_split()
        dataset = self.dataset_class(self.preprocessed_dataset_folder, train_keys)
        shapes = [dataset.load_case(key)[0].shape[1:] for key in train_keys]  # opened, not read
        if len(patch_size) == 2:
            samples = sum(shape[0] for shape in shapes)
        else:
            samples = sum(math.prod(shape) for shape in shapes) / math.prod(patch_size)
        return max(1, math.ceil(samples / self.configuration_manager.batch_size))
