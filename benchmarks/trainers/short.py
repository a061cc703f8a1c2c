"""The trainers of all compared networks with the schedule of the benchmark; `NAME_short` is NAME with `Short`."""

from collections.abc import Callable

from dynamic_network_architectures.initialization.weight_init import InitWeights_He
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from torch import nn

from benchmarks.trainers.rivals import (
    AttentionUNetTrainer,
    DeepLabV3PlusTrainer,
    SegNetTrainer,
    UNetPlusPlusTrainer,
    UNetTrainer,
)
from benchmarks.trainers.schedule import Short
from nnunet_eas.network.eas_unet import draw_weights
from nnunet_eas.trainer import EASUNetTrainer
from nnunet_eas.trainer.schedules import EASUNetTrainer_earlystop as _EarlyStop


class EASUNetTrainer_earlystop(_EarlyStop):
    """EAS U-Net with a patience of a tenth of its epochs, in proportion to 100 epochs of nnU-Net's 1000."""

    @property
    def patience(self) -> int:
        """Epochs without a gain before training stops."""
        return max(1, self.num_epochs // 10)


class EASUNetTrainer_warmup(EASUNetTrainer):
    """EAS U-Net whose learning rate rises from 0 to the schedule's over the first twentieth of the iterations."""

    share = 0.05

    def on_train_epoch_start(self) -> None:
        """Starts the epoch, whose schedule sets the learning rate."""
        super().on_train_epoch_start()
        self.scheduled = self.optimizer.param_groups[0]["lr"]
        self.done = self.current_epoch * self.num_iterations_per_epoch

    def train_step(self, batch: dict) -> dict:
        """A step with the learning rate of its place in the training."""
        self.done += 1
        rising = self.done / (self.share * self.num_epochs * self.num_iterations_per_epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = self.scheduled * min(1.0, rising)
        return super().train_step(batch)


def _initialised(
    trainer: type[nnUNetTrainer], name: str, initialize: Callable[[nn.Module], None]
) -> type[nnUNetTrainer]:
    """A trainer with other first weights."""

    def build_network_architecture(  # nnU-Net looks for these argument names
        plans_manager, configuration_manager, num_input_channels, num_output_channels, enable_deep_supervision=True
    ):
        network = trainer.build_network_architecture(
            plans_manager, configuration_manager, num_input_channels, num_output_channels, enable_deep_supervision
        )
        return network.apply(initialize)

    build = staticmethod(build_network_architecture)
    return type(name, (trainer,), {"build_network_architecture": build, "__module__": __name__})


def _pytorch_s(module: nn.Module) -> None:
    if isinstance(module, (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)):
        module.reset_parameters()


def _shortened(trainer: type[nnUNetTrainer]) -> type[nnUNetTrainer]:
    return type(f"{trainer.__name__}_short", (Short, trainer), {"__module__": __name__})


nnUNetTrainer_short = _shortened(nnUNetTrainer)
EASUNetTrainer_short = _shortened(EASUNetTrainer)
EASUNetTrainer_earlystop_short = _shortened(EASUNetTrainer_earlystop)
EASUNetTrainer_warmup_short = _shortened(EASUNetTrainer_warmup)
EASUNetTrainer_he_short = _shortened(_initialised(EASUNetTrainer, "EASUNetTrainer_he", InitWeights_He(1e-2)))
EASUNetTrainer_pytorch_short = _shortened(_initialised(EASUNetTrainer, "EASUNetTrainer_pytorch", _pytorch_s))
nnUNetTrainer_eas_start_short = _shortened(_initialised(nnUNetTrainer, "nnUNetTrainer_eas_start", draw_weights))
UNetTrainer_short = _shortened(UNetTrainer)
UNetPlusPlusTrainer_short = _shortened(UNetPlusPlusTrainer)
AttentionUNetTrainer_short = _shortened(AttentionUNetTrainer)
DeepLabV3PlusTrainer_short = _shortened(DeepLabV3PlusTrainer)
SegNetTrainer_short = _shortened(SegNetTrainer)
