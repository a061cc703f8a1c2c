r"""Gain of every fast CPU path of `nnunet_eas.cpu`: a training step and a scan with all paths, and with each one off.

    python -m benchmarks.speed.cpu_paths --json benchmarks/results/cpu_paths.json [--threads 1 2] [--rounds 2]

Networks, plans and data are those of `benchmarks.speed.speed`; every measurement has a process of its own, and the
variants take turns. "kept memory" is `keep_freed_memory`, "plain" has no path and no kept memory. Paths that change no
module of a configuration are not measured there; instance norms are those of the paper's network. In training,
recomputation brings its instance norm with it: without "channels-last instance norms" a step shows the norms outside
the stages only, a scan shows all of them.

Nothing else should run on the machine meanwhile.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from pathlib import Path
from typing import Any

import torch

from benchmarks import environment
from benchmarks.speed.knee_plan import DATASET_JSON, plans_of, set_environment
from benchmarks.speed.measured import MeasuredNetwork, OwnProcess
from nnunet_eas.cpu import PATHS, accelerate, restore
from nnunet_eas.cpu.kept_memory import VARIABLE
from nnunet_eas.support.files import write_json

KEPT, PLAIN = "kept memory", "plain"
CASES: dict[str, tuple[str, str, list[int], list[int], tuple[str, ...]]] = {
    "2d": ("2d", "eas", [384, 384], [4, 384, 384], (*PATHS, KEPT, PLAIN)),
    "3d_fullres": ("3d_fullres", "eas", [32, 96, 96], [32, 96, 96], (*PATHS, KEPT, PLAIN)),
    "3d_fullres, the paper's": (
        *("3d_fullres", "eas_paper", [32, 96, 96], [32, 96, 96]),
        ("channels-last instance norms",),
    ),
}
"""Configuration, network, patch, scan and what is turned off, by title; the batch is 2."""

REPEATS = 3


class Variant(MeasuredNetwork):
    """A network with some of the paths; `off` is the name of one, "plain" or "nothing"."""

    def __init__(self, off: str, *arguments: Any) -> None:
        os.environ[VARIABLE] = "0" if off in (KEPT, PLAIN) else "1"
        super().__init__(*arguments)
        for network in (self.trainer.network, self.predictor.network):
            accelerate(restore(network), [] if off == PLAIN else [path for path in PATHS if path != off])

    def differs_by(self, path: str) -> bool:
        """Whether a path changes a module of this network."""
        network = self.predictor.network
        before = [type(module) for module in restore(network).modules()]
        return [type(module) for module in accelerate(network, [path]).modules()] != before


def main() -> None:
    """Measures and writes the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, required=True, help="the file to write")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, torch.get_num_threads()])
    parser.add_argument("--rounds", type=int, default=2, help="(default: %(default)s)")
    args = parser.parse_args()
    rows = []
    for threads in dict.fromkeys(args.threads):
        with tempfile.TemporaryDirectory() as folder:
            set_environment(Path(folder), threads)
            for title in CASES:
                rows += measure(title, threads, args.rounds)
    write_json(args.json, {"rows": rows, "environment": environment.describe()})


def measure(title: str, threads: int, rounds: int) -> list[dict[str, Any]]:
    """A row for each variant that differs from the full one."""
    configuration, network, patch, scan, turned_off = CASES[title]
    plans = plans_of(configuration, patch, 2, network)
    arguments = (plans, configuration, DATASET_JSON, "EASUNetTrainer_short", torch.device("cpu"), scan)
    probe = OwnProcess(Variant, "nothing", *arguments)
    variants = ["nothing", *(off for off in turned_off if off not in PATHS or probe("differs_by", off))]
    probe.close()
    found: dict[str, dict[str, list[float]]] = {name: {"step": [], "scan": [], "peak": []} for name in variants}
    for round_ in range(rounds):
        for name in variants:
            times = found[name]
            for what, warm_up, method in (("scan", "predict_patch", "scan_seconds"), ("step", "step", "step_seconds")):
                process = OwnProcess(Variant, name, *arguments)
                process(warm_up)
                times[what] += [process(method) for _ in range(REPEATS)]
                if what == "step" and round_ == 0:
                    times["peak"].append(process("peak_bytes"))
                process.close()
            print(
                f"{threads} threads, {title}, off: {name}: step {statistics.median(times['step']):.2f} s, "
                f"scan {statistics.median(times['scan']):.2f} s, peak {times['peak'][0] / 1e9:.2f} GB",
                flush=True,
            )
    return [
        {
            "threads": threads,
            "configuration": title,
            "patch_size": patch,
            "batch_size": 2,
            "scan_shape": scan,
            "off": name,
            "step_seconds": times["step"],
            "scan_seconds": times["scan"],
            "peak_bytes": times["peak"][0],
        }
        for name, times in found.items()
    ]


if __name__ == "__main__":
    main()
