"""Trainers that differ from EASUNetTrainer in one setting: the number format, the mirrored axes."""

from __future__ import annotations

import torch

from nnunet_eas.trainer.eas_unet_trainer import EASUNetTrainer

LEFT_RIGHT = 2  # axis of an image (z, y, x) in LPS, in which `nnunet-eas convert` writes all images


class EASUNetTrainer_bf16(EASUNetTrainer):
    """EASUNetTrainer in bfloat16 instead of float16 on CUDA, for data on which float16 overflows (the loss is nan).

    bfloat16 has the range of float32, so the loss needs no scaling, and three bits less precision than float16. It
    needs a GPU that computes in it (Ampere or later). On other devices nnU-Net trains in single precision, and so does
    this trainer.
    """

    autocast_dtype = torch.bfloat16

    def __init__(
        self,
        plans: dict,
        configuration: str,
        fold: int,
        dataset_json: dict,
        device: torch.device = torch.device("cuda"),  # noqa: B008  nnU-Net's signature
    ) -> None:
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.grad_scaler = None  # without a scaler nnU-Net steps as on a CPU


class EASUNetTrainer_fp32(EASUNetTrainer_bf16):
    """EASUNetTrainer in single precision on CUDA: slower, twice the memory, for data on which float16 overflows.

    PyTorch warns once that its autocast is off.
    """

    autocast_dtype = torch.float32


class EASUNetTrainer_noMirrorLR(EASUNetTrainer):
    """EASUNetTrainer without left-right mirroring, in training and prediction.

    For datasets that tell medial from lateral: the mirrored medial side of a right knee looks like the lateral side of
    a left knee. The last axis of the images must run left-right, as in datasets that `nnunet-eas convert` wrote.
    Sagittal slices (2d configuration) do not have this axis, and nothing changes.
    """

    def configure_rotation_dummyDA_mirroring_and_inital_patch_size(self) -> tuple:
        """Chooses augmentation as nnU-Net does, without the left-right axis among the mirrored ones."""
        *augmentation, axes = super().configure_rotation_dummyDA_mirroring_and_inital_patch_size()
        # the plan reorders an image's axes, and a 2d patch has those after the first
        axis = self.plans_manager.transpose_forward.index(LEFT_RIGHT) - 3 + len(self.configuration_manager.patch_size)
        self.inference_allowed_mirroring_axes = tuple(a for a in axes if a != axis)
        return *augmentation, self.inference_allowed_mirroring_axes
