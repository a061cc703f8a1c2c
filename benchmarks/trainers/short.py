"""Trainers of a length that the benchmark chooses, the same for every network; nnUNet_extTrainer points here."""

import os

import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from nnunet_eas.trainer import EASUNetTrainer


def _shortened(trainer: type[nnUNetTrainer]) -> type[nnUNetTrainer]:
    def __init__(self, plans, configuration, fold, dataset_json, device):
        # nnU-Net takes all cores on the CPU; threads that wait for a busy core cost far more than they bring
        torch.set_num_threads(int(os.environ.get("BENCHMARK_THREADS", torch.get_num_threads())))
        super(shortened, self).__init__(plans, configuration, fold, dataset_json, device)
        self.num_epochs = int(os.environ["BENCHMARK_EPOCHS"])
        self.num_iterations_per_epoch = int(os.environ["BENCHMARK_ITERATIONS"])
        self.num_val_iterations_per_epoch = int(os.environ["BENCHMARK_VAL_ITERATIONS"])

    shortened = type(f"{trainer.__name__}_short", (trainer,), {"__init__": __init__, "__module__": __name__})
    return shortened


nnUNetTrainer_short = _shortened(nnUNetTrainer)
EASUNetTrainer_short = _shortened(EASUNetTrainer)
