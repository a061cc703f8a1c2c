"""EASUNetTrainer in bfloat16."""

from __future__ import annotations

import torch

from nnunet_eas.trainer.eas_unet_trainer import EASUNetTrainer


class EASUNetTrainer_bf16(EASUNetTrainer):
    """Trains on CUDA in bfloat16 instead of float16: for data on which float16 overflows and the loss becomes nan.

    bfloat16 has float32's range, so that losses need no scaling, and three bits less precision. It needs a GPU that
    computes with it (Ampere and later). On other devices nnU-Net trains in single precision and so does this.
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
        # the host asks autocast for no type and gets this process's; without a scaler it steps as it does on a CPU
        torch.set_autocast_dtype("cuda", torch.bfloat16)
        self.grad_scaler = None
