"""A user's own trainers, as in a directory that `nnUNet_extTrainer` names."""

import os
import time
from pathlib import Path

import numpy as np
import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from nnunet_eas.trainer import EASUNetTrainer, EASUNetTrainer_earlystop


class Tiny:
    """A schedule just long enough for the tiny scans to be learned visibly."""

    def __init__(self, plans, configuration, fold, dataset_json, device=torch.device("cuda")):  # noqa: B008
        # nnU-Net sets a thread for each core: the threads of two trainings at a time would wait for each other in
        # spinning barriers, and a step of milliseconds would take seconds
        torch.set_num_threads(1)
        np.random.seed(1)  # nnU-Net's sampling and augmentation
        torch.manual_seed(1)
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.num_epochs = 2
        self.num_iterations_per_epoch = 30
        self.num_val_iterations_per_epoch = 1


class EASUNetTrainer_tiny(Tiny, EASUNetTrainer):
    pass


class EASUNetTrainer_seeded(EASUNetTrainer):
    """Draws from NNUNET_EAS_SEED alone."""

    settings = {"num_epochs": 2, "num_iterations_per_epoch": 2, "num_val_iterations_per_epoch": 1}


class nnUNetTrainer_tiny(Tiny, nnUNetTrainer):
    pass


class EASUNetTrainer_standstill(Tiny, EASUNetTrainer):
    """Learns nothing: its last weights are its first ones."""

    def __init__(self, plans, configuration, fold, dataset_json, device=torch.device("cuda")):  # noqa: B008
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.num_epochs = self.num_iterations_per_epoch = 1
        self.initial_lr = 0.0


class EASUNetTrainer_stops(Tiny, EASUNetTrainer):
    """Where the test asks for it, builds another network than today's rule, and waits in the middle of epoch 1."""

    def __init__(self, plans, configuration, fold, dataset_json, device=torch.device("cuda")):  # noqa: B008
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.num_epochs = 3
        self.save_every = 1
        self.steps_in_epoch_1 = 0

    @classmethod
    def prepare_plans(cls, plans, configuration, trained=None):
        prepared = super().prepare_plans(plans, configuration, trained)
        if "TEST_OTHER_RULE" in os.environ:
            prepared["configurations"]["2d"]["architecture"]["arch_kwargs"]["dilations"] = [[1, 1]]
        return prepared

    def train_step(self, batch):
        self.steps_in_epoch_1 += self.current_epoch == 1
        if "TEST_STOP_FILE" in os.environ and self.steps_in_epoch_1 == 5:
            Path(os.environ["TEST_STOP_FILE"]).touch()
            time.sleep(3600)  # until the test kills it
        return super().train_step(batch)


class EASUNetTrainer_waits(Tiny, EASUNetTrainer):
    """The first process that reaches epoch 1 writes its process id into a file and waits to be stopped."""

    def __init__(self, plans, configuration, fold, dataset_json, device=torch.device("cuda")):  # noqa: B008
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.num_iterations_per_epoch = 4
        self.save_every = 1

    def train_step(self, batch):
        said = Path(os.environ.get("TEST_SAY_NUMBER", os.devnull))
        if self.current_epoch == 1 and not said.exists():
            said.with_suffix(".part").write_text(str(os.getpid()))
            said.with_suffix(".part").rename(said)
            while not self._is_asked_to_stop:  # until the test stops or kills it
                time.sleep(0.05)
        return super().train_step(batch)


class EASUNetTrainer_flat(Tiny, EASUNetTrainer_earlystop):
    """No gain after the first epoch is large enough."""

    patience, least_gain = 2, 10.0

    def __init__(self, plans, configuration, fold, dataset_json, device=torch.device("cuda")):  # noqa: B008
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.num_epochs, self.num_iterations_per_epoch = 9, 1
