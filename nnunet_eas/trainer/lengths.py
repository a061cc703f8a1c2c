"""EASUNetTrainer in nnU-Net's usual shorter lengths."""

from __future__ import annotations

import torch

from nnunet_eas.trainer.eas_unet_trainer import EASUNetTrainer


class _ShorterTrainer(EASUNetTrainer):
    epochs: int

    def __init__(
        self,
        plans: dict,
        configuration: str,
        fold: int,
        dataset_json: dict,
        device: torch.device = torch.device("cuda"),  # noqa: B008  the host's signature
    ) -> None:
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.num_epochs = self.epochs


class EASUNetTrainer_5epochs(_ShorterTrainer):
    """EASUNetTrainer for 5 epochs: enough to see that everything runs."""

    epochs = 5


class EASUNetTrainer_20epochs(_ShorterTrainer):
    """EASUNetTrainer for 20 epochs."""

    epochs = 20


class EASUNetTrainer_50epochs(_ShorterTrainer):
    """EASUNetTrainer for 50 epochs."""

    epochs = 50


class EASUNetTrainer_100epochs(_ShorterTrainer):
    """EASUNetTrainer for 100 epochs."""

    epochs = 100


class EASUNetTrainer_250epochs(_ShorterTrainer):
    """EASUNetTrainer for 250 epochs."""

    epochs = 250
