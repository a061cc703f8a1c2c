"""Trainers of a length that the benchmark chooses, the same for every network; nnUNet_extTrainer points here."""

import os
import random
from collections.abc import Callable

import numpy as np
import torch
from dynamic_network_architectures.initialization.weight_init import InitWeights_He
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from torch import nn

from nnunet_eas.trainer import EASUNetTrainer


def _initialised(name: str, initialize: Callable[[nn.Module], None]) -> type[EASUNetTrainer]:
    """EASUNetTrainer with other first weights."""

    def build_network_architecture(  # the host looks for these names
        plans_manager, configuration_manager, num_input_channels, num_output_channels, enable_deep_supervision=True
    ):
        network = EASUNetTrainer.build_network_architecture(
            plans_manager, configuration_manager, num_input_channels, num_output_channels, enable_deep_supervision
        )
        return network.apply(initialize)

    build = staticmethod(build_network_architecture)
    return type(name, (EASUNetTrainer,), {"build_network_architecture": build, "__module__": __name__})


def _pytorch_s(module: nn.Module) -> None:
    if isinstance(module, (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)):
        module.reset_parameters()


def _shortened(trainer: type[nnUNetTrainer]) -> type[nnUNetTrainer]:
    def __init__(self, plans, configuration, fold, dataset_json, device):
        # nnU-Net takes all cores on the CPU; threads that wait for a busy core cost far more than they bring
        torch.set_num_threads(int(os.environ.get("BENCHMARK_THREADS", torch.get_num_threads())))
        if "BENCHMARK_SEED" in os.environ:
            random.seed(int(os.environ["BENCHMARK_SEED"]))
            np.random.seed(int(os.environ["BENCHMARK_SEED"]))
            torch.manual_seed(int(os.environ["BENCHMARK_SEED"]))
        super(shortened, self).__init__(plans, configuration, fold, dataset_json, device)
        self.num_epochs = int(os.environ["BENCHMARK_EPOCHS"])
        self.num_iterations_per_epoch = int(os.environ["BENCHMARK_ITERATIONS"])
        self.num_val_iterations_per_epoch = int(os.environ["BENCHMARK_VAL_ITERATIONS"])

    shortened = type(f"{trainer.__name__}_short", (trainer,), {"__init__": __init__, "__module__": __name__})
    return shortened


nnUNetTrainer_short = _shortened(nnUNetTrainer)
EASUNetTrainer_short = _shortened(EASUNetTrainer)
EASUNetTrainer_he_short = _shortened(_initialised("EASUNetTrainer_he", InitWeights_He(1e-2)))
EASUNetTrainer_pytorch_short = _shortened(_initialised("EASUNetTrainer_pytorch", _pytorch_s))
