"""The schedule of every compared training: its length, its seed, its times, and checkpoints written whole."""

from __future__ import annotations

import json
import os
import random
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from batchgenerators.dataloading.nondet_multi_threaded_augmenter import NonDetMultiThreadedAugmenter

from nnunet_eas.support.files import write_text

FIRST_ITERATIONS = 5
"""Iterations of the first epoch where the length is given in seconds; they show how long a step takes."""


class Short:
    """Mixin that goes before one of nnU-Net's trainers and takes the schedule from environment variables.

    BENCHMARK_EPOCHS, BENCHMARK_ITERATIONS and BENCHMARK_VAL_ITERATIONS (both per epoch) set the length.
    BENCHMARK_SECONDS sets a time instead of iterations: every epoch then has as many iterations as fit its share of the
    remaining time, so that the learning rate falls over the whole time. BENCHMARK_SEED seeds weights and sampling,
    BENCHMARK_THREADS sets PyTorch's threads. BENCHMARK_NO_MIRRORING validates without mirrored copies: eight times as
    fast in 3-D.

    With nnUNet_n_proc_DA=0 all networks see the same samples, except where the network itself draws random numbers
    (DeepLabV3+ for its dropout, on a CPU). With several loading processes the samples are almost the same, because
    batches arrive in the order in which they are ready. A resumed training draws other samples than one that was not
    interrupted.

    `epochs.json` in the fold's folder has iterations, seconds, median seconds of a step, losses and pseudo Dice of
    every epoch.
    """

    def __init__(self, plans, configuration, fold, dataset_json, device):  # nnU-Net copies the arguments by name
        # nnU-Net takes all cores of the CPU, and threads that wait for a busy core cost far more than they bring
        torch.set_num_threads(int(os.environ.get("BENCHMARK_THREADS", torch.get_num_threads())))
        _seed()
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.num_epochs = int(os.environ["BENCHMARK_EPOCHS"])
        self.num_iterations_per_epoch = int(os.environ["BENCHMARK_ITERATIONS"])
        self.num_val_iterations_per_epoch = int(os.environ["BENCHMARK_VAL_ITERATIONS"])
        self.save_every = 1
        self.step_seconds: list[float] = []
        self.epoch_start = self.epoch_seconds = 0.0

    def get_dataloaders(self):
        """Builds nnU-Net's loaders, then seeds everything that draws, in this process and in the loading processes."""
        loaders = super().get_dataloaders()
        if "BENCHMARK_SEED" in os.environ:
            for number, loader in enumerate(loaders):
                if isinstance(loader, NonDetMultiThreadedAugmenter):
                    first = _seed_of(self.current_epoch) + 1000 * number
                    loader.seeds = [first + process for process in range(loader.num_processes)]
                    loader.restart()
            _seed(self.current_epoch)
        return loaders

    def on_train_epoch_start(self):
        """Gives the epoch its share of the remaining seconds, where the length is given in seconds."""
        super().on_train_epoch_start()
        self.step_seconds, self.epoch_start = [], time.perf_counter()
        if "BENCHMARK_SECONDS" in os.environ:
            so_far = [e for e in self._epochs() if e["epoch"] < self.current_epoch]
            if not so_far:
                self.num_iterations_per_epoch = FIRST_ITERATIONS
                return
            left = float(os.environ["BENCHMARK_SECONDS"]) - sum(e["seconds"] for e in so_far)
            share = left / (self.num_epochs - self.current_epoch)
            self.num_iterations_per_epoch = max(1, int(share / (so_far[-1]["seconds"] / so_far[-1]["iterations"])))

    def on_train_epoch_end(self, train_outputs: list[dict]) -> None:
        """Takes the time of the epoch's training, without its validation."""
        super().on_train_epoch_end(train_outputs)
        self.epoch_seconds = time.perf_counter() - self.epoch_start

    def train_step(self, batch: dict) -> dict:
        """Times nnU-Net's step, which waits for the device at its end; loading is not in the time."""
        start = time.perf_counter()
        result = super().train_step(batch)
        self.step_seconds.append(time.perf_counter() - start)
        return result

    def on_epoch_end(self):
        """Writes the epoch's line before a checkpoint counts the epoch as finished."""
        line = {
            "epoch": self.current_epoch,
            "iterations": len(self.step_seconds),
            "seconds": self.epoch_seconds,
            "step_seconds_median": statistics.median(self.step_seconds),
            "train_loss": float(self.logger.get_value("train_losses", step=-1)),
            "val_loss": float(self.logger.get_value("val_losses", step=-1)),
            "pseudo_dice": [float(d) for d in self.logger.get_value("dice_per_class_or_region", step=-1)],
        }
        lines = [e for e in self._epochs() if e["epoch"] < self.current_epoch] + [line]
        write_text(self._epochs_file(), json.dumps(lines))  # a pseudo Dice may be NaN
        super().on_epoch_end()

    def perform_actual_validation(self, save_probabilities: bool = False) -> None:
        """Validates as nnU-Net does, with mirrored copies or without."""
        if "BENCHMARK_NO_MIRRORING" in os.environ:
            self.inference_allowed_mirroring_axes = None
        super().perform_actual_validation(save_probabilities)

    def save_checkpoint(self, filename: str) -> None:
        """Writes beside and renames, so that a training killed while it writes keeps its previous checkpoint."""
        super().save_checkpoint(f"{filename}.part")
        if os.path.exists(f"{filename}.part"):
            os.replace(f"{filename}.part", filename)

    def _epochs_file(self) -> Path:
        return Path(self.output_folder) / "epochs.json"

    def _epochs(self) -> list[dict[str, Any]]:
        return json.loads(self._epochs_file().read_text()) if self._epochs_file().is_file() else []


def _seed(epoch: int = 0) -> None:
    if "BENCHMARK_SEED" in os.environ:
        random.seed(_seed_of(epoch))
        np.random.seed(_seed_of(epoch))
        torch.manual_seed(_seed_of(epoch))


def _seed_of(epoch: int) -> int:
    """The seed from an epoch on; a resumed training must not see the samples of the first epochs again."""
    return int(os.environ["BENCHMARK_SEED"]) + 10_000 * epoch
