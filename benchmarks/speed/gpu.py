"""A training step, a scan and a prediction command on a GPU, with the choices that only a GPU can decide.

    python -m benchmarks.speed.gpu --json OUT.json [--only steps scans commands] [--device cpu --tiny]

Default nnU-Net, ResEnc-M and EAS U-Net share a knee's plan (`benchmarks.speed.knee_plan`). EAS U-Net's step is also
measured in the other memory layout, in bfloat16, and with less kept for the backward pass: compiled with PyTorch's
memory budget below 1, eager with activation checkpointing of every block. Bytes are those of
`torch.cuda.max_memory_allocated`. Several processes compile at the same time, then one after another is timed.

A case that fails is a row with its error. A second call measures what is missing. `--device cpu --tiny` rehearses all
of it with a few voxels.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch

from benchmarks import environment
from benchmarks.compare.networks import NETWORKS
from benchmarks.speed.knee_plan import DATASET, DATASET_JSON, plans_of, set_environment
from benchmarks.speed.measured import OwnProcess, seconds
from benchmarks.speed.speed import SpeedOfNetwork
from nnunet_eas.gpu import checkpoint_stages
from nnunet_eas.gpu.layout import VARIABLE
from nnunet_eas.support.files import write_json
from nnunet_eas.support.nnunet_commands import command_line

CASES = {"2d": ([384, 384], 12), "3d_fullres": ([80, 192, 160], 2)}
SCAN = [160, 384, 384]
TINY = {"2d": ([32, 32], 2), "3d_fullres": ([16, 32, 32], 2)}
TINY_SCAN = {"2d": [2, 32, 32], "3d_fullres": [16, 32, 32]}

STEPS: list[dict[str, Any]] = [  # in order of worth
    {"network": "default"},
    {"network": "eas"},
    {"network": "eas", "layout": "contiguous"},
    {"network": "eas", "memory_budget": 0.5},
    {"network": "eas", "memory_budget": 0.25},
    {"network": "resenc_m"},
    {"network": "default", "compiled": False},
    {"network": "eas", "compiled": False},
    {"network": "eas", "compiled": False, "layout": "contiguous"},
    {"network": "eas", "compiled": False, "checkpointed": True},
    {"network": "eas", "trainer": "EASUNetTrainer_bf16"},
    {"network": "eas", "trainer": "EASUNetTrainer_bf16", "layout": "contiguous"},
]
SCANS: list[dict[str, Any]] = [
    {"network": "default", "predictor": "nnunet"},
    {"network": "eas", "predictor": "nnunet"},
    {"network": "eas", "predictor": "ours"},
    {"network": "eas", "predictor": "nnunet", "layout": "contiguous"},
    {"network": "eas", "predictor": "ours", "layout": "contiguous"},
    {"network": "default", "predictor": "nnunet", "card_gb": 8},
    {"network": "eas", "predictor": "nnunet", "card_gb": 8},
    {"network": "eas", "predictor": "ours", "card_gb": 8},
]
COMMANDS = [
    {"network": "default", "command": ["nnUNetv2_predict", "-tr", "nnUNetTrainer_short", "-p", "default"]},
    {"network": "eas", "command": ["nnUNetv2_predict", "-tr", "EASUNetTrainer_short", "-p", "eas"]},
    {"network": "eas", "command": ["nnunet-eas", "predict", "-tr", "EASUNetTrainer_short", "-p", "eas"]},
]


def main() -> None:
    """Measures what is missing, and writes the JSON after every case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, required=True, help="the file to write")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="small patches and scans, to rehearse")
    parser.add_argument("--only", nargs="+", choices=("steps", "scans", "commands"), help="(default: all)")
    parser.add_argument("--configurations", nargs="+", choices=tuple(CASES), default=["3d_fullres", "2d"])
    parser.add_argument("--at-once", type=int, default=4, help="processes that compile at once (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=10, help="timed steps of a case (default: %(default)s)")
    args = parser.parse_args()
    rows = json.loads(args.json.read_text())["rows"] if args.json.is_file() else []
    with tempfile.TemporaryDirectory() as folder:
        set_environment(Path(folder), torch.get_num_threads())
        os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = str(max(1, (os.cpu_count() or 1) // args.at_once))
        for row in measurements(Path(folder), args, [row["case"] for row in rows]):
            rows.append(row)
            content = {"device": args.device, "tiny": args.tiny, "rows": rows, "environment": environment.describe()}
            write_json(args.json, content)
            print(" ".join(f"{key}={value}" for key, value in row.items() if key != "case"), row["case"], flush=True)


def measurements(work: Path, args: argparse.Namespace, known: list[Any]) -> Iterator[dict[str, Any]]:
    """Rows of all cases that are not known yet."""
    kinds = args.only or ["steps", "scans", "commands"]
    for configuration, kind in itertools.product(args.configurations, kinds):
        cases = {"steps": STEPS, "scans": SCANS, "commands": COMMANDS}[kind]
        cases = [{"kind": kind, "configuration": configuration, **case} for case in cases]
        cases = [case for case in cases if case not in known]
        if kind == "commands":
            measure_command = functools.partial(command, work / configuration, args)
            yield from map(measure_command, cases)
        else:
            for start in range(0, len(cases), args.at_once):
                wave = cases[start : start + args.at_once]
                with ThreadPoolExecutor(len(wave)) as pool:
                    ready = list(pool.map(functools.partial(prepared, args), wave))
                yield from (measured(args, case, *process) for case, process in zip(wave, ready, strict=True))


class GpuNetwork(SpeedOfNetwork):
    """A measured network in a chosen layout, compiled or not, with everything or less kept for the backward pass."""

    def __init__(self, case: dict[str, Any], *arguments: Any) -> None:
        import torch._functorch.config

        torch._functorch.config.activation_memory_budget = case.get("memory_budget", 1.0)
        os.environ["nnUNet_compile"] = "1" if case.get("compiled", True) and case["kind"] == "steps" else "0"
        os.environ[VARIABLE] = case.get("layout", "channels-last")
        super().__init__(*arguments)
        for network in (self.trainer.network, self.predictor.network):
            if case.get("checkpointed"):
                checkpoint_stages(network)
        if self.device.type == "cuda":
            target = self.batch["target"]
            targets = [t.cuda() for t in target] if isinstance(target, list) else target.cuda()
            self.batch = {"data": self.batch["data"].cuda(), "target": targets}  # the copy is not measured
            if "card_gb" in case:
                total = torch.cuda.get_device_properties(self.device).total_memory
                torch.cuda.set_per_process_memory_fraction(case["card_gb"] * 1e9 / total)

    def warm_up(self, steps: int) -> float:
        """Compiles and tunes; returns the seconds that it took."""
        start = time.perf_counter()
        for _ in range(steps):
            self.step()
        self.free()
        return time.perf_counter() - start

    def free(self) -> None:
        """Gives PyTorch's cached memory back, for the next process."""
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def steps(self, number: int) -> dict[str, float]:
        """Median, least and most milliseconds of a step, and the bytes of one."""
        self.step()
        taken = sorted(1000 * seconds(self.step, self.device) for _ in range(number))
        peak = self.peak_bytes()
        reserved = torch.cuda.max_memory_reserved() if self.device.type == "cuda" else 0
        self.free()
        return {
            "milliseconds": statistics.median(taken),
            "least": taken[0],
            "most": taken[-1],
            "peak_bytes": peak,
            "reserved_bytes": reserved,
        }

    def scans(self, predictor: str) -> dict[str, Any]:
        """Seconds of the first scan and of the second, and the bytes of one."""
        if predictor == "ours":
            self.build_our_predictor()
        scan_seconds = self.scan_seconds if predictor == "nnunet" else self.our_predictor_scan_seconds
        first = scan_seconds()
        peak = torch.cuda.max_memory_allocated() if self.device.type == "cuda" else 0
        found = {"first_seconds": first, "seconds": scan_seconds(), "peak_bytes": peak}
        if predictor == "ours":
            found["images_at_once"] = self.our_predictor.images_at_once
        return found


def prepared(args: argparse.Namespace, case: dict[str, Any]) -> tuple[OwnProcess | None, dict[str, Any]]:
    """A process with the case's network, compiled; or None and the error."""
    try:
        patch, batch = (TINY if args.tiny else CASES)[case["configuration"]]
        plans = plans_of(case["configuration"], patch, batch, case["network"])
        trainer = case.get("trainer") or f"{NETWORKS[case['network']].trainer}_short"
        shape = TINY_SCAN[case["configuration"]] if args.tiny else SCAN
        device = torch.device(args.device)
        process = OwnProcess(GpuNetwork, case, plans, case["configuration"], DATASET_JSON, trainer, device, shape)
        if case["kind"] == "scans":
            return process, {}
        return process, {"warm_up_seconds": process("warm_up", 3)}
    except (RuntimeError, EOFError) as error:
        return None, {"error": str(error)[:500]}


def measured(
    args: argparse.Namespace, case: dict[str, Any], process: OwnProcess | None, row: dict[str, Any]
) -> dict[str, Any]:
    """The row of a training step or a scan."""
    if process is not None:
        try:
            row |= process(case["kind"], args.steps if case["kind"] == "steps" else case["predictor"])
        except (RuntimeError, EOFError) as error:
            row["error"] = str(error)[:500]
        process.close()
    return {**row, "case": case}


def command(work: Path, args: argparse.Namespace, case: dict[str, Any]) -> dict[str, Any]:
    """The row of a prediction command on one scan in a file, which writes one mask."""
    configuration = case["configuration"]
    scans = work / "scans"
    if not scans.is_dir():
        scans.mkdir(parents=True)
        shape = TINY_SCAN[configuration] if args.tiny else SCAN
        image = sitk.GetImageFromArray(np.random.default_rng(0).normal(size=shape).astype(np.float32))
        image.SetSpacing((0.36, 0.36, 0.7))
        sitk.WriteImage(image, str(scans / "knee_0000.nii.gz"))
        for network in ("default", "eas"):
            process, error = prepared(args, {"kind": "scans", "configuration": configuration, "network": network})
            if process is None:
                return {**error, "case": case}
            process("save")
            process.close()
    words = [*case["command"], "-d", DATASET, "-c", configuration, "-f", "0", "-device", args.device]
    masks = work / "masks" / case["command"][0] / case["network"]
    words += ["--disable_progress_bar", "-i", str(scans), "-o", str(masks)]
    start = time.perf_counter()
    done = subprocess.run(command_line(*words), capture_output=True, text=True, check=False)
    row = {"seconds": time.perf_counter() - start}
    if done.returncode:
        row["error"] = done.stderr[-500:]
    return {**row, "case": case}


if __name__ == "__main__":
    main()
