"""nnU-Net trainers that train the EAS U-Net."""

from nnunet_eas.trainer.eas_unet_trainer import EASUNetTrainer
from nnunet_eas.trainer.schedules import (
    EASUNetTrainer_5epochs,
    EASUNetTrainer_20epochs,
    EASUNetTrainer_50epochs,
    EASUNetTrainer_100epochs,
    EASUNetTrainer_250epochs,
    EASUNetTrainer_demo,
    EASUNetTrainer_demo_quick,
    EASUNetTrainer_earlystop,
    EASUNetTrainer_paper,
)
from nnunet_eas.trainer.variants import EASUNetTrainer_bf16, EASUNetTrainer_fp32, EASUNetTrainer_noMirrorLR

__all__ = [
    "EASUNetTrainer",
    "EASUNetTrainer_5epochs",
    "EASUNetTrainer_20epochs",
    "EASUNetTrainer_50epochs",
    "EASUNetTrainer_100epochs",
    "EASUNetTrainer_250epochs",
    "EASUNetTrainer_bf16",
    "EASUNetTrainer_demo",
    "EASUNetTrainer_demo_quick",
    "EASUNetTrainer_earlystop",
    "EASUNetTrainer_fp32",
    "EASUNetTrainer_noMirrorLR",
    "EASUNetTrainer_paper",
]
