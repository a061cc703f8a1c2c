r"""Time of a training step on a quiet and on a busy machine, and what helps on a busy one.

    python -m benchmarks.speed.busy_machine --json benchmarks/results/busy_machine.json [--rounds 5]

Threads that wait for a busy core spin. The settings are those that `nnunet-eas doctor` names: OMP_WAIT_POLICY=PASSIVE,
or one thread fewer. A process that computes without a break makes the machine busy; nothing else should run on it.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
from pathlib import Path

import torch

from benchmarks import environment
from benchmarks.speed.knee_plan import DATASET_JSON, plans_of, set_environment
from benchmarks.speed.measured import MeasuredNetwork, OwnProcess, spread
from nnunet_eas.support.files import write_json

POLICY = "OMP_WAIT_POLICY"
PATCH = [128, 128]


def main() -> None:
    """Measures and writes the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, required=True, help="the file to write")
    parser.add_argument("--rounds", type=int, default=5, help="(default: %(default)s)")
    args = parser.parse_args()
    cores = torch.get_num_threads()
    settings = {"as it comes": (cores, None), f"{POLICY}=PASSIVE": (cores, "PASSIVE"), "one thread": (1, None)}
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, (threads, policy) in settings.items():
            set_environment(Path(folder), threads)
            os.environ.pop(POLICY, None)
            if policy:
                os.environ[POLICY] = policy
            plans = plans_of("2d", PATCH, 2, "eas")
            arguments = (plans, "2d", DATASET_JSON, "EASUNetTrainer_short", torch.device("cpu"), None)
            process = OwnProcess(MeasuredNetwork, *arguments)
            row = {"setting": name, "threads": threads, "patch_size": PATCH, "batch_size": 2}
            row["quiet_step_seconds"] = spread([process("step_seconds") for _ in range(args.rounds)])
            other = multiprocessing.get_context("spawn").Process(target=compute, daemon=True)
            other.start()
            row["busy_step_seconds"] = spread([process("step_seconds") for _ in range(args.rounds)])
            other.terminate()
            process.close()
            rows.append(row)
            medians = [row[f"{state}_step_seconds"]["median"] for state in ("quiet", "busy")]
            print(f"{name}: quiet {medians[0]:.3f} s, busy {medians[1]:.3f} s", flush=True)
    write_json(args.json, {"cores": cores, "rows": rows, "environment": environment.describe()})


def compute() -> None:
    """Keeps one core busy until the process is ended."""
    torch.set_num_threads(1)
    matrix = torch.rand(500, 500)
    while True:
        matrix @ matrix


if __name__ == "__main__":
    main()
