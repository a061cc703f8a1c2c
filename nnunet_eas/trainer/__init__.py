"""nnU-Net trainers that train the EAS U-Net."""

from nnunet_eas.trainer.bf16 import EASUNetTrainer_bf16
from nnunet_eas.trainer.demo import EASUNetTrainer_demo, EASUNetTrainer_demo_quick
from nnunet_eas.trainer.early_stopping import EASUNetTrainer_earlystop
from nnunet_eas.trainer.eas_unet_trainer import EASUNetTrainer
from nnunet_eas.trainer.lengths import (
    EASUNetTrainer_5epochs,
    EASUNetTrainer_20epochs,
    EASUNetTrainer_50epochs,
    EASUNetTrainer_100epochs,
    EASUNetTrainer_250epochs,
)
from nnunet_eas.trainer.no_mirror_lr import EASUNetTrainer_noMirrorLR
from nnunet_eas.trainer.paper import EASUNetTrainer_paper

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
    "EASUNetTrainer_noMirrorLR",
    "EASUNetTrainer_paper",
]
