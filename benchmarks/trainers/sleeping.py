"""A trainer that occupies a device and no processor: for measuring how trainings are placed."""

import json
import os
import time
from pathlib import Path

import numpy as np
import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer


class SleepingTrainer(nnUNetTrainer):
    """One epoch of BENCHMARK_SLEEP seconds; validation is a summary without cases."""

    def __init__(self, plans, configuration, fold, dataset_json, device=torch.device("cuda")):  # noqa: B008
        torch.set_num_threads(1)
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.num_epochs = self.num_val_iterations_per_epoch = 1
        self.num_iterations_per_epoch = int(os.environ["BENCHMARK_SLEEP"])

    def train_step(self, batch: dict) -> dict:
        """A second of nothing."""
        time.sleep(1)
        return {"loss": np.array(0.0)}

    def perform_actual_validation(self, save_probabilities: bool = False) -> None:
        """What says that the fold is done."""
        folder = Path(self.output_folder) / "validation"
        folder.mkdir(exist_ok=True)
        (folder / "summary.json").write_text(json.dumps({}))
