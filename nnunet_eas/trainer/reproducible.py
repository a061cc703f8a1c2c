"""Trainings that can be repeated: the same seed gives the same weights."""

from __future__ import annotations

import os
import random
from typing import Any

import numpy as np
import torch
from batchgenerators.dataloading.multi_threaded_augmenter import MultiThreadedAugmenter
from batchgenerators.dataloading.nondet_multi_threaded_augmenter import NonDetMultiThreadedAugmenter
from batchgenerators.dataloading.single_threaded_augmenter import SingleThreadedAugmenter
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

SEED_VARIABLE = "NNUNET_EAS_SEED"
"""Environment variable: an integer that makes a training reproducible."""


class Reproducible(nnUNetTrainer):
    """nnUNetTrainer that repeats a training bit by bit where `NNUNET_EAS_SEED` is an integer.

    First weights draw from the seed, each batch from the seed and its number since the training began. A training that
    was killed and resumed from a checkpoint of an epoch's end therefore ends with the weights of one that was not, and
    without dropout the number of loading processes does not matter. One that was stopped by a signal repeats the
    interrupted epoch from the weights it had, and ends with others. On a GPU, PyTorch's deterministic algorithms are
    used where there are some; it warns of the others.
    """

    def initialize(self) -> None:
        """Initialises as nnU-Net does, with first weights drawn from the seed."""
        if (seed := chosen_seed()) is not None:
            _seed(seed)
        super().initialize()

    def get_dataloaders(self) -> tuple[Any, Any]:
        """Builds nnU-Net's loaders, in the form that returns batches in a fixed order."""
        loaders: tuple[Any, Any] = super().get_dataloaders()
        if (seed := chosen_seed()) is None:
            return loaders
        training, validation = loaders
        of_rank = (seed, self.local_rank)
        return (
            _in_order(training, (*of_rank, 0), self.current_epoch * self.num_iterations_per_epoch),
            _in_order(validation, (*of_rank, 1), self.current_epoch * self.num_val_iterations_per_epoch),
        )

    def on_train_start(self) -> None:
        """Starts as nnU-Net does, and chooses deterministic algorithms."""
        super().on_train_start()
        if chosen_seed() is not None:
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is not deterministic without
            torch.backends.cudnn.benchmark = False
            torch.use_deterministic_algorithms(True, warn_only=True)

    def on_epoch_start(self) -> None:
        """Starts the epoch as nnU-Net does, with a seed of its own for what the network draws."""
        if (seed := chosen_seed()) is not None:
            _seed(seed, self.local_rank, 2, self.current_epoch)
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
    """A loader whose batches depend on their number alone, whichever process loads them."""

    def __init__(self, loader: Any, seed: tuple[int, ...], first: int, processes: int) -> None:
        self.loader, self.seed = loader, seed
        self.number, self.processes = first, processes  # of the next batch; processes load in turns

    def set_thread_id(self, thread_id: int) -> None:
        """Called once in each loading process, by its number."""
        torch.set_num_threads(1)  # a forked process waits for ever for OpenMP's threads, which stayed with its parent
        self.number += thread_id
        self.loader.set_thread_id(thread_id)

    def __iter__(self) -> _SeededLoader:
        return self

    def __next__(self) -> Any:
        _seed(*self.seed, self.number)
        self.number += self.processes
        return next(self.loader)


def _in_order(augmenter: Any, seed: tuple[int, ...], first: int) -> Any:
    """nnU-Net's augmenter as one that returns batches in the order of their numbers, from `first` on."""
    if isinstance(augmenter, SingleThreadedAugmenter):  # loads in this process
        return SingleThreadedAugmenter(_SeededLoader(augmenter.data_loader, seed, first, 1), None)
    assert isinstance(augmenter, NonDetMultiThreadedAugmenter)
    augmenter._finish()
    in_order = MultiThreadedAugmenter(
        _SeededLoader(augmenter.generator, seed, first, augmenter.num_processes),
        None,
        augmenter.num_processes,
        pin_memory=augmenter.pin_memory,
        wait_time=augmenter.wait_time,
    )
    in_order._start()  # now, as nnU-Net does, not at the first step
    return in_order


def _seed(*numbers: int) -> None:
    """Seeds everything that draws, from several numbers."""
    of_python, of_numpy, of_torch = np.random.SeedSequence(numbers).generate_state(3)
    random.seed(int(of_python))
    np.random.seed(int(of_numpy))
    torch.manual_seed(int(of_torch))
