"""The cost of EASUNetTrainer's guards: skipped steps and whole checkpoints, as a share of an epoch.

    python -m benchmarks.speed.guards --device cpu --json benchmarks/results/guards.json

A difference of 1 % drowns in the noise of whole epochs. So the guards' own work is timed, around a step that does
nothing and a network that is built as for training, beside real steps of the same network in the same process:

- what `FiniteSteps` adds to a step: a copy of the buffers, the norms of the gradients,
- what `WholeCheckpoints` adds to a checkpoint: the sync to the disk, and reading it back, twice for the latest one.

An epoch has nnU-Net's 250 steps. The worst case is counted: a new best checkpoint in every epoch, beside the latest one
in every fiftieth.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from benchmarks import environment
from benchmarks.speed.knee_plan import DATASET_JSON, plans_of, set_environment
from benchmarks.speed.measured import MeasuredNetwork, OwnProcess, seconds, spread
from nnunet_eas.support.files import write_json

STEPS = 250  # of an epoch
SAVE_EVERY = 50  # epochs between two latest checkpoints
CONFIGURATIONS = {"2d": [384, 384], "3d_fullres": [32, 96, 96]}


class Guarded(MeasuredNetwork):
    """A network whose trainer's guards can be timed alone."""

    def guards_of_a_step(self) -> float:
        """Seconds that the guards of a step take, with gradients as a step leaves them."""
        optimizer, trainer = self.trainer.optimizer, self.trainer

        def no_step(*_: Any) -> dict[str, Any]:
            trainer._before_optimizer_step(optimizer)
            return {"loss": np.array(1.0)}

        self.step()
        with mock.patch.object(nnUNetTrainer, "train_step", no_step):
            return seconds(lambda: [trainer.train_step(self.batch) for _ in range(10)], self.device) / 10

    def checkpoint_seconds(self, guarded: bool) -> float:
        """Seconds of the second latest checkpoint, as ours or as nnU-Net's trainer saves it."""
        file = str(Path(self.trainer.output_folder) / ("checkpoint_latest.pth" if guarded else "stock.pth"))
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        save = type(self.trainer).save_checkpoint if guarded else nnUNetTrainer.save_checkpoint
        save(self.trainer, file)
        start = time.perf_counter()
        save(self.trainer, file)
        return time.perf_counter() - start


def main() -> None:
    """Measures and writes the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, required=True, help="the file to write")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tiny", action="store_true", help="with small patches: shows that it runs")
    args = parser.parse_args()
    device = torch.device(args.device)
    rows: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        set_environment(Path(folder), args.threads)
        for configuration, patch in CONFIGURATIONS.items():
            if args.tiny:
                patch = [max(8, edge // 8) for edge in patch]
            plans = plans_of(configuration, patch, 2, "eas")
            process = OwnProcess(Guarded, plans, configuration, DATASET_JSON, "EASUNetTrainer_short", device, None)
            taken: dict[str, list[float]] = {"step": [], "guards": [], "checkpoint": [], "stock_checkpoint": []}
            for _ in range(args.rounds):
                taken["step"].append(process("step_seconds"))
                taken["guards"].append(process("guards_of_a_step"))
                taken["checkpoint"].append(process("checkpoint_seconds", True))
                taken["stock_checkpoint"].append(process("checkpoint_seconds", False))
            process.close()
            medians = {name: spread(values)["median"] for name, values in taken.items()}
            per_epoch = STEPS * medians["guards"]
            per_epoch += max(0.0, medians["checkpoint"] - medians["stock_checkpoint"]) * (1 + 1 / SAVE_EVERY)
            share = per_epoch / (STEPS * medians["step"])
            rows[configuration] = {"patch_size": patch, "batch_size": 2, "seconds": taken, "share_of_epoch": share}
            print(f"{configuration}: {100 * share:.2f} % of an epoch, {medians}", flush=True)
    write_json(args.json, {"device": args.device, "configurations": rows, "environment": environment.describe()})


if __name__ == "__main__":
    main()
