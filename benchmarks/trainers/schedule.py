"""What every trainer of a benchmark has besides its network: a length, a seed, one step's time, a whole checkpoint."""

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

FIRST_ITERATIONS = 5
"""Of the first epoch where the length is a time: enough to know how long a step takes."""


class Short:
    """Put in front of a trainer of nnU-Net's kind.

    From the environment: BENCHMARK_EPOCHS, BENCHMARK_ITERATIONS (an epoch), BENCHMARK_VAL_ITERATIONS are the length.
    Training may take BENCHMARK_SECONDS in its place; every epoch then has as many iterations as fit its share of what
    is left, so that the learning rate falls over the whole time. BENCHMARK_SEED is that of weights and sampling,
    BENCHMARK_THREADS PyTorch's threads.

    Samples are the same for all networks with nnUNet_n_proc_DA=0, but for a network that draws itself (on a CPU,
    DeepLabV3+ with its dropout); with several processes, whose batches come as they are ready, almost. A resumed
    training draws other samples than one that was not cut.

    Beside the model lies `epochs.json`: of each epoch the iterations, seconds of a step (median), losses, pseudo Dice.
    """

    def __init__(self, plans, configuration, fold, dataset_json, device):  # the host copies the arguments by name
        # nnU-Net takes all cores on the CPU; threads that wait for a busy core cost far more than they bring
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
        """As the host; then everything that draws is seeded, in this process and in those that load."""
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
        """A budget in seconds is shared among the epochs that are left."""
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
        """As the host; the epoch's training ends here, its validation is not in the time."""
        super().on_train_epoch_end(train_outputs)
        self.epoch_seconds = time.perf_counter() - self.epoch_start

    def train_step(self, batch: dict) -> dict:
        """As the host, timed; its last act waits for the device. Loading is not in it."""
        start = time.perf_counter()
        result = super().train_step(batch)
        self.step_seconds.append(time.perf_counter() - start)
        return result

    def on_epoch_end(self):
        """As the host; and a line for the benchmark, before a checkpoint says that this epoch is done."""
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
        _replace(self._epochs_file(), json.dumps(lines))
        super().on_epoch_end()

    def save_checkpoint(self, filename: str) -> None:
        """As the host, but a run killed in the middle of writing leaves the previous checkpoint whole."""
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
    """A resumed training starts from another one, so that it does not see the same samples again."""
    return int(os.environ["BENCHMARK_SEED"]) + 10_000 * epoch


def _replace(path: Path, text: str) -> None:
    part = path.with_suffix(".part")
    part.write_text(text)
    part.replace(path)
