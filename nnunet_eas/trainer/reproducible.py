"""Trainings that can be repeated: the same seed gives the same weights."""

from __future__ import annotations

import os
import random
from typing import Any

import numpy as np
import torch
from batchgenerators.dataloading.multi_threaded_augmenter import MultiThreadedAugmenter
from batchgenerators.dataloading.nondet_multi_threaded_augmenter import NonDetMultiThreadedAugmenter
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

SEED_VARIABLE = "NNUNET_EAS_SEED"
"""Environment variable: an integer that makes a training reproducible."""

STRIDE = 10_007  # between the seeds of two epochs: more than there are loading processes
SEEDS = 2**32  # number of NumPy's


class Reproducible(nnUNetTrainer):
    """nnUNetTrainer that repeats a training bit by bit where `NNUNET_EAS_SEED` is an integer.

    First weights, sampling and augmentation draw from the seed and the epoch's number, so that a training which was
    interrupted and resumed ends with the weights of one that was not. Batches arrive in a fixed order, which depends on
    nnUNet_n_proc_DA: the same number of loading processes, threads and the same versions are needed. On a GPU,
    PyTorch's deterministic algorithms are used where there are some; it warns of the others.
    """

    def initialize(self) -> None:
        """Initialises as nnU-Net does, with first weights drawn from the seed."""
        if (seed := chosen_seed()) is not None:
            _seed(seed)
        super().initialize()

    def get_dataloaders(self) -> tuple[Any, Any]:
        """Builds nnU-Net's loaders, in the form that returns batches in a fixed order."""
        loaders: tuple[Any, Any] = super().get_dataloaders()
        return loaders if chosen_seed() is None else (_in_order(loaders[0]), _in_order(loaders[1]))

    def on_train_start(self) -> None:
        """Starts as nnU-Net does, and chooses deterministic algorithms."""
        super().on_train_start()
        if chosen_seed() is not None:
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is not deterministic without
            torch.backends.cudnn.benchmark = False
            torch.use_deterministic_algorithms(True, warn_only=True)

    def on_epoch_start(self) -> None:
        """Starts the epoch as nnU-Net does, with seeds of its own."""
        if (seed := chosen_seed()) is not None:
            first = seed + STRIDE * (self.current_epoch + 1) + STRIDE**2 * self.local_rank
            _seed(first)
            for number, loader in enumerate((self.dataloader_train, self.dataloader_val)):
                if isinstance(loader, MultiThreadedAugmenter):
                    of_process = range(first + 1 + number, first + 1 + number + 2 * loader.num_processes, 2)
                    loader.seeds = [one % SEEDS for one in of_process]
                    loader.restart()
        super().on_epoch_start()


def chosen_seed() -> int | None:
    """The seed that `NNUNET_EAS_SEED` names; None where it is not set.

    Raises:
        ValueError: It is no integer from 0 on.
    """
    value = os.environ.get(SEED_VARIABLE, "")
    if not value:
        return None
    if not value.isdecimal():
        raise ValueError(f"{SEED_VARIABLE} must be an integer from 0 on, got {value!r}. Set e.g. {SEED_VARIABLE}=1.")
    return int(value)


class _SeededLoader:
    """A loader that seeds PyTorch, too, in the process that loads; batchgenerators seeds NumPy only."""

    def __init__(self, loader: Any) -> None:
        self.loader = loader

    def set_thread_id(self, thread_id: int) -> None:
        torch.manual_seed(int(np.random.randint(2**31)))  # NumPy was seeded just before
        random.seed(int(np.random.randint(2**31)))
        self.loader.set_thread_id(thread_id)

    def __iter__(self) -> _SeededLoader:
        return self

    def __next__(self) -> Any:
        return next(self.loader)


def _in_order(augmenter: Any) -> Any:
    if not isinstance(augmenter, NonDetMultiThreadedAugmenter):
        return augmenter  # loads in this process
    augmenter._finish()
    return MultiThreadedAugmenter(
        _SeededLoader(augmenter.generator),
        None,
        augmenter.num_processes,
        pin_memory=augmenter.pin_memory,
        wait_time=augmenter.wait_time,
    )


def _seed(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed % SEEDS)
    torch.manual_seed(seed)
