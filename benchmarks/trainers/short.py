"""Trainers of a length that the benchmark chooses, the same for every network; nnUNet_extTrainer points here."""

import os

from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from nnunet_eas.trainer import EASUNetTrainer


def _shortened(trainer: type[nnUNetTrainer]) -> type[nnUNetTrainer]:
    def __init__(self, plans, configuration, fold, dataset_json, device):
        super(shortened, self).__init__(plans, configuration, fold, dataset_json, device)
        self.num_epochs = int(os.environ["BENCHMARK_EPOCHS"])
        self.num_iterations_per_epoch = int(os.environ["BENCHMARK_ITERATIONS"])
        self.num_val_iterations_per_epoch = int(os.environ["BENCHMARK_VAL_ITERATIONS"])

    shortened = type(f"{trainer.__name__}_short", (trainer,), {"__init__": __init__, "__module__": __name__})
    return shortened


nnUNetTrainer_short = _shortened(nnUNetTrainer)
EASUNetTrainer_short = _shortened(EASUNetTrainer)
