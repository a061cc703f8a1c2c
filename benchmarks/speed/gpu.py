"""A training step, a scan and a prediction command on a GPU, with the choices that only a GPU can decide.

    python -m benchmarks.speed.gpu --json OUT.json [--only steps scans commands] [--device cpu --tiny]

Default nnU-Net, ResEnc-M and EAS U-Net share a knee's plan (`benchmarks.speed.knee_plan`). EAS U-Net's step is measured
in both memory layouts, with recomputation and without, in bfloat16, compiled and eager. Bytes are those of
`torch.cuda.max_memory_allocated`. One process at a time holds the GPU.

A case that fails, or answers nothing for 200 seconds, is a row with its error. A second call measures what is missing
or failed, also of a call that ran out of --seconds, which ends with 75; network and GPU must be the same. `--device cpu
--tiny` rehearses all of it with a few voxels.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch

from benchmarks import environment
from benchmarks.checks.agreement import count_differences
from benchmarks.compare.networks import NETWORKS
from benchmarks.earlier_rows import earlier_rows
from benchmarks.speed.knee_plan import DATASET, DATASET_JSON, plans_of, set_environment
from benchmarks.speed.measured import OwnProcess, seconds
from benchmarks.speed.speed import SpeedOfNetwork
from nnunet_eas.gpu import compiling, depthwise, layout
from nnunet_eas.network.eas_unet import ARCH_FORMAT
from nnunet_eas.support.files import write_json
from nnunet_eas.support.nnunet_commands import command_line

CASES = {"2d": ([384, 384], 12), "3d_fullres": ([80, 192, 160], 2)}
SCAN = [160, 384, 384]
PATIENCE_S = 200
TINY = {"2d": ([32, 32], 2), "3d_fullres": ([16, 32, 32], 2)}
TINY_SCAN = {"2d": [2, 32, 32], "3d_fullres": [16, 32, 32]}

LAYOUTS = {"2d": ("channels-last", "contiguous"), "3d_fullres": ("contiguous", "channels-last")}
"""The trainer's own layout, and the other one."""

OWN, OTHER = {"layout": 0}, {"layout": 1}
STEPS: list[dict[str, Any]] = [  # in order of worth
    {"network": "default"},
    {"network": "eas", **OWN, "recompute": True},
    {"network": "resenc_m"},
    {"network": "eas", **OWN, "recompute": False},
    {"network": "eas", **OWN, "recompute": True, "trainer": "EASUNetTrainer_bf16"},
    {"network": "default", "compiled": False},
    {"network": "eas", **OWN, "recompute": True, "compiled": False},
    {"network": "eas", **OWN, "recompute": False, "compiled": False},
    {"network": "eas", **OWN, "recompute": True, "depthwise": "pytorch"},
    {"network": "eas", **OWN, "recompute": True, "inductor": "as it comes"},
    {"network": "eas", **OTHER, "recompute": True},
    {"network": "eas", **OTHER, "recompute": True, "trainer": "EASUNetTrainer_bf16"},
    {"network": "eas", **OTHER, "recompute": False},
]
SCANS: list[dict[str, Any]] = [
    {"network": "eas", "predictor": "ours", **OWN},
    {"network": "default", "predictor": "nnunet"},
    {"network": "eas", "predictor": "nnunet", **OWN},
    {"network": "eas", "predictor": "ours", **OTHER},
    {"network": "eas", "predictor": "nnunet", **OTHER},
    {"network": "eas", "predictor": "ours", **OWN, "card_gb": 8},
    {"network": "default", "predictor": "nnunet", "card_gb": 8},
    {"network": "eas", "predictor": "nnunet", **OWN, "card_gb": 8},
]
COMMANDS = [
    {"network": "eas", "command": ["nnUNetv2_predict", "-tr", "EASUNetTrainer_short", "-p", "eas"]},
    {"network": "eas", "command": ["nnunet-eas", "predict", "-tr", "EASUNetTrainer_short", "-p", "eas"]},
    {"network": "default", "command": ["nnUNetv2_predict", "-tr", "nnUNetTrainer_short", "-p", "default"]},
]


def main() -> None:
    """Measures what is missing, and writes the JSON after every case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, required=True, help="the file to write")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="small patches and scans, to rehearse")
    parser.add_argument("--only", nargs="+", choices=("steps", "scans", "commands"), help="(default: all)")
    parser.add_argument("--configurations", nargs="+", choices=tuple(CASES), default=["3d_fullres", "2d"])
    parser.add_argument("--first", type=int, help="how many cases of each kind (default: all)")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="after these, no further case begins")
    parser.add_argument("--steps", type=int, default=10, help="timed steps of a case (default: %(default)s)")
    parser.add_argument(
        "--compile-first",
        type=int,
        default=0,
        metavar="N",
        help="before anything is measured, fill torch.compile's cache with the networks of N cases at a time; rows "
        "have no warm_up_seconds then (default: %(default)s, each case compiles its own)",
    )
    args = parser.parse_args()
    gpu = torch.cuda.get_device_name() if args.device == "cuda" else None
    measured_as = {"device": args.device, "tiny": args.tiny, "gpu": gpu, "arch_format": ARCH_FORMAT}
    rows, wanted = earlier_rows(args.json, measured_as), cases(args)
    failed = [row["case"] for row in rows if "error" in row and row["case"] in wanted]
    done = [row["case"] for row in rows if row["case"] not in failed]
    end = time.monotonic() + args.seconds
    left = [case for case in wanted if case not in [*done, *failed]] + failed
    with tempfile.TemporaryDirectory() as folder:
        set_environment(Path(folder), torch.get_num_threads())
        if args.compile_first:
            with ThreadPoolExecutor(args.compile_first) as pool:
                list(pool.map(functools.partial(compile_network, args), left))
        while left and time.monotonic() < end:
            case = left.pop(0)
            measure = functools.partial(command, Path(folder, case["configuration"])) if "command" in case else measured
            row = measure(args, case)
            rows = [other for other in rows if other["case"] != case] + [row]
            write_json(args.json, {**measured_as, "rows": rows, "environment": environment.describe()})
            print(" ".join(f"{key}={value}" for key, value in row.items() if key != "case"), row["case"], flush=True)
    if left:
        print(f"{len(left)} cases are left: start it again")
        sys.exit(os.EX_TEMPFAIL)
    sys.exit(int(any("error" in row for row in rows if row["case"] in wanted)))


def cases(args: argparse.Namespace) -> list[dict[str, Any]]:
    """All cases, in the order in which they are measured."""
    kinds = {"steps": STEPS, "scans": SCANS, "commands": COMMANDS}
    found = []
    for configuration in args.configurations:
        for kind in args.only or kinds:
            for case in kinds[kind][: args.first]:
                if "depthwise" in case and configuration == "2d":
                    continue  # the kernels are 3-D ones
                named = {"layout": LAYOUTS[configuration][case["layout"]]} if "layout" in case else {}
                found.append({"kind": kind, "configuration": configuration, **case, **named})
    return found


class GpuNetwork(SpeedOfNetwork):
    """A measured network in a chosen layout, compiled or not, with everything or less kept for the backward pass."""

    def __init__(self, case: dict[str, Any], *arguments: Any) -> None:
        os.environ["nnUNet_compile"] = "1" if case.get("compiled", True) and case["kind"] == "steps" else "0"
        os.environ[layout.VARIABLE] = case.get("layout", "channels-last")
        os.environ[depthwise.VARIABLE] = case.get("depthwise", "triton")
        if "inductor" in case:
            compiling.SETTINGS.clear()
        super().__init__(*arguments)
        if self.device.type == "cuda":
            target = self.batch["target"]
            targets = [t.cuda() for t in target] if isinstance(target, list) else target.cuda()
            self.batch = {"data": self.batch["data"].cuda(), "target": targets}  # the copy is not measured
            if "card_gb" in case:
                self._shrink_card(int(case["card_gb"] * 1e9))
        if case["kind"] == "steps":
            del self.predictor  # its network must not count

    def _shrink_card(self, size: int) -> None:
        """Lets PyTorch have no more than `size` bytes of the card, and say so."""
        total = torch.cuda.get_device_properties(self.device).total_memory
        torch.cuda.set_per_process_memory_fraction(size / total)
        torch.cuda.mem_get_info = lambda device=None: (max(0, size - torch.cuda.memory_reserved()), size)

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
        found = {"first_seconds": scan_seconds()}
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        found["seconds"] = scan_seconds()
        found["peak_bytes"] = torch.cuda.max_memory_allocated() if self.device.type == "cuda" else 0
        if predictor == "ours":
            found["images_at_once"] = self.our_predictor.images_at_once
        return found


def process_of(args: argparse.Namespace, case: dict[str, Any]) -> OwnProcess:
    """A process with the case's network."""
    configuration = case["configuration"]
    patch, batch = (TINY if args.tiny else CASES)[configuration]
    plans = plans_of(configuration, patch, batch, case["network"])
    plans["configurations"][configuration]["recompute"] = case.get("recompute", True)
    trainer = case.get("trainer") or f"{NETWORKS[case['network']].trainer}_short"
    shape = TINY_SCAN[configuration] if args.tiny else SCAN
    arguments = (case, plans, configuration, DATASET_JSON, trainer, torch.device(args.device), shape)
    return OwnProcess(GpuNetwork, *arguments, patience_s=PATIENCE_S)


def compile_network(args: argparse.Namespace, case: dict[str, Any]) -> None:
    """Fills torch.compile's cache with the case's network; what fails, fails again where it is measured."""
    if case["kind"] == "steps" and case.get("compiled", True):
        with contextlib.suppress(RuntimeError, EOFError), contextlib.closing(process_of(args, case)) as process:
            process("warm_up", 1)


def measured(args: argparse.Namespace, case: dict[str, Any]) -> dict[str, Any]:
    """The row of a training step or a scan."""
    row: dict[str, Any] = {}
    try:
        with contextlib.closing(process_of(args, case)) as process:
            if case["kind"] == "steps":
                warm_up_seconds = process("warm_up", 3)
                if not args.compile_first:
                    row["warm_up_seconds"] = warm_up_seconds
            row |= process(case["kind"], args.steps if case["kind"] == "steps" else case["predictor"])
    except (RuntimeError, EOFError) as error:
        row["error"] = str(error)[:500]
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
    saved = work / f"{case['network']}_is_saved"
    try:
        if not saved.exists():
            of_model = {"kind": "scans", "configuration": configuration, "network": case["network"]}
            with contextlib.closing(process_of(args, of_model)) as process:
                process("save")
            saved.touch()
    except (RuntimeError, EOFError) as error:
        return {"error": str(error)[:500], "case": case}
    words = [*case["command"], "-d", DATASET, "-c", configuration, "-f", "0", "-device", args.device]
    masks = work / "masks" / case["command"][0] / case["network"]
    words += ["--disable_progress_bar", "-i", str(scans), "-o", str(masks)]
    row: dict[str, Any] = {}
    for what in ("first_seconds", "seconds")[args.tiny :]:  # the first one reads programs and libraries from the disk
        start = time.perf_counter()
        done = subprocess.run(command_line(*words), capture_output=True, text=True, check=False)
        row[what] = time.perf_counter() - start
        if done.returncode:
            row["error"] = done.stderr[-500:]
            break
    stock = work / "masks" / "nnUNetv2_predict" / case["network"]
    if case["command"][0] == "nnunet-eas" and stock.is_dir():  # not where an earlier call measured it
        row |= count_differences(stock, masks)
    return {**row, "case": case}


if __name__ == "__main__":
    main()
