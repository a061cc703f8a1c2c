r"""Default nnU-Net, ResEnc-M and EAS U-Net on the same plans, in turns: training step, memory, prediction, commands.

    python -m benchmarks.speed.speed [--quick] --device cpu --json OUT.json

Nothing is trained and no data are needed, because a network with random weights takes as long on a random scan. Each
network runs in a process of its own, as in nnU-Net's commands. Steps are the trainers' own, network times are nnU-Net's
sliding window with mirroring, commands are `nnUNetv2_predict` and `nnunet-eas predict` on the same scan in files.
`ratios` are default / ours, the median over the rounds:

    train_step_2d, train_step_3d              a training step
    train_memory_2d                           the peak memory of a step
    predict_network_2d, predict_network_3d    nnU-Net's predictor on both networks
    eas_predict_network_2d                    nnU-Net's predictor on the default network, our predictor on ours
    eas_predict_command_2d                    the same as whole commands, with start-up, reading and writing

`ratios_of_changes` are the paper's EAS U-Net / ours, for what of this is a network's.

`floor` is the least time that the machine could take: FLOPs over its measured matrix rate, or bytes (each block's input
read once, its output written once) over its measured bandwidth; it stands beside the time of every stage.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch

from benchmarks import environment
from benchmarks.compare.networks import NETWORKS
from benchmarks.speed.floor import floor
from benchmarks.speed.knee_plan import DATASET, DATASET_JSON, plans_of, set_environment
from benchmarks.speed.measured import MeasuredNetwork, OwnProcess, seconds, spread
from nnunet_eas.support.files import write_json
from nnunet_eas.support.nnunet_commands import command_line


def main() -> None:
    """Measures and writes the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, required=True, help="the file to write")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--quick", action="store_true", help="12 slices, no ResEnc-M, fewer rounds: minutes")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=None, help="(default: 3, --quick 2)")
    args = parser.parse_args()
    args.rounds = args.rounds or (2 if args.quick else 3)
    torch.set_num_threads(args.threads)
    small = args.quick or args.device == "cpu"
    slices = 12 if small else 160  # a network's time grows with the slices; a command has fixed costs as well
    with tempfile.TemporaryDirectory() as folder:
        set_environment(Path(folder), args.threads)
        rows = measure("2d", [384, 384], 2 if small else 12, [slices, 384, 384], args)
        patch = [32, 96, 96] if small else [80, 192, 160]
        rows |= measure("3d_fullres", patch, 2, patch if small else [slices, 384, 384], args)
        commands = measure_commands(Path(folder), 12 if args.quick else 160, args)
        content = {
            "device": args.device,
            "quick": args.quick,
            "threads": args.threads,
            "ratios": ratios(rows, commands),
            "ratios_of_changes": network_ratios(rows, "eas_paper"),
            "networks": rows,
            "commands": commands,
            "floor": floor(torch.device(args.device), [384, 384]),
            "environment": environment.describe(),
        }
    write_json(args.json, content)
    for name, ratio in content["ratios"].items():
        print(f"{name}: {ratio:.2f}")


def measure(
    configuration: str, patch: list[int], batch: int, scan: list[int], args: argparse.Namespace
) -> dict[str, dict[str, Any]]:
    """Training step, prediction and memory of all networks in turns."""
    names = ["default", "eas_paper", "eas"]
    if not args.quick:
        names.insert(1, "resenc_m")  # takes longer than the others together
    device = torch.device(args.device)

    def start(name: str) -> OwnProcess:
        plans, trainer = plans_of(configuration, patch, batch, name), f"{NETWORKS[name].trainer}_short"
        return OwnProcess(SpeedOfNetwork, plans, configuration, DATASET_JSON, trainer, device, scan)

    training = {name: start(name) for name in names}
    prediction = {name: start(name) for name in names}
    rows: dict[str, dict[str, Any]] = {
        name: {"patch_size": patch, "batch_size": batch, "scan_shape": scan, "step_seconds": [], "scan_seconds": []}
        for name in names
    }
    if configuration == "2d":
        for name in ("default", "eas"):
            training[name]("save")
        rows["eas"] |= {"our_engine": prediction["eas"]("build_our_predictor"), "our_predictor_scan_seconds": []}
    for name in names:
        training[name]("step")
        prediction[name]("predict_patch")
    for round_ in range(args.rounds):
        for name in names:
            taken = {
                "step_seconds": training[name]("step_seconds"),
                "scan_seconds": prediction[name]("scan_seconds"),
            }
            if "our_engine" in rows[name]:
                taken["our_predictor_scan_seconds"] = prediction[name]("our_predictor_scan_seconds")
            line = ", ".join(f"{measurement} {value:.2f}" for measurement, value in taken.items())
            print(f"{configuration} round {round_} {name}: {line}", flush=True)
            for measurement, value in taken.items():
                rows[name][measurement].append(value)
    for name in names:
        rows[name] |= {**prediction[name]("size"), "peak_bytes": training[name]("peak_bytes")}
        training[name].close()
        prediction[name].close()
    return {f"{name}_{configuration}": row for name, row in rows.items()}


class SpeedOfNetwork(MeasuredNetwork):
    """A measured network with the predictor of `nnunet-eas predict`, and with a folder as training leaves it."""

    def predict_patch(self) -> None:
        """Predicts the smallest possible scan with both predictors."""
        super().predict_patch()
        if hasattr(self, "our_predictor"):
            self.our_predictor.predict_logits_from_preprocessed_data(self.smallest_scan())

    def save(self) -> None:
        """Writes the model's folder for the commands."""
        folder = Path(self.trainer.output_folder_base)
        (folder / "plans.json").write_text(json.dumps(self.trainer.plans_manager.plans))
        (folder / "dataset.json").write_text(json.dumps(DATASET_JSON))
        self.trainer.save_checkpoint(str(Path(self.trainer.output_folder) / "checkpoint_final.pth"))

    def build_our_predictor(self) -> str:
        """Builds the predictor of `nnunet-eas predict` around the same network; returns the engine that it chooses."""
        from nnunet_eas.inference.batched_predictor import BatchedPredictor
        from nnunet_eas.inference.engines import forwards_of
        from nnunet_eas.inference.trained_model import TrainedModel

        stock = self.predictor
        model = TrainedModel(
            trainer_name=stock.trainer_name,
            configuration_name=self.trainer.configuration_name,
            plans_manager=stock.plans_manager,
            configuration=stock.configuration_manager,
            dataset_json=DATASET_JSON,
            folds=(0,),
            networks=(stock.network,),
            mirroring_axes=tuple(stock.allowed_mirroring_axes),
        )
        ours = BatchedPredictor(device=self.device, perform_everything_on_device=self.device.type == "cuda")
        ours.allow_tqdm = False
        ours.manual_initialization(
            *(stock.network, stock.plans_manager, stock.configuration_manager, None, DATASET_JSON),
            *(stock.trainer_name, stock.allowed_mirroring_axes),
        )
        ours.forwards, engine = forwards_of(model, self.device, "auto")
        self.our_predictor = ours
        return engine

    def our_predictor_scan_seconds(self) -> float:
        """The time of a scan with our predictor."""
        return seconds(lambda: self.our_predictor.predict_logits_from_preprocessed_data(self.scan), self.device)


def measure_commands(work: Path, slices: int, args: argparse.Namespace) -> dict[str, Any]:
    """Both prediction commands on one scan, in turns, as a user runs them."""
    scans = work / "scans"
    scans.mkdir()
    image = sitk.GetImageFromArray(np.random.default_rng(0).normal(size=(slices, 384, 384)).astype(np.float32))
    image.SetSpacing((0.36, 0.36, 0.7))
    sitk.WriteImage(image, str(scans / "knee_0000.nii.gz"))
    commands = {
        "default": ["nnUNetv2_predict", "-tr", "nnUNetTrainer_short", "-p", "default"],
        "eas_stock": ["nnUNetv2_predict", "-tr", "EASUNetTrainer_short", "-p", "eas"],
        "eas_ours": ["nnunet-eas", "predict", "-tr", "EASUNetTrainer_short", "-p", "eas"],
    }
    if args.quick:
        del commands["eas_stock"]  # no ratio needs it
    taken: dict[str, list[float]] = {name: [] for name in commands}
    for round_ in range(1 if args.quick or args.device == "cpu" else 3):
        for name, command in commands.items():
            model = ["-d", DATASET, "-c", "2d", "-f", "0", "-device", args.device, "--disable_progress_bar"]
            files = ["-i", str(scans), "-o", str(work / f"masks_{name}")]
            start = time.perf_counter()
            done = subprocess.run(command_line(*command, *model, *files), capture_output=True, text=True, check=False)
            taken[name].append(time.perf_counter() - start)
            if done.returncode:
                raise SystemExit(f"{command[0]} ended with {done.returncode}: {done.stderr[-2000:]}")
            print(f"command round {round_} {name}: {taken[name][-1]:.1f} s", flush=True)
    return {**taken, "slices": slices, "summary": {name: spread(values) for name, values in taken.items()}}


def ratios(rows: dict[str, dict[str, Any]], commands: dict[str, Any]) -> dict[str, float]:
    """Default / ours, of the networks and of the commands."""
    return {
        **network_ratios(rows, "default"),
        "eas_predict_network_2d": _of_pairs(
            rows["default_2d"]["scan_seconds"], rows["eas_2d"]["our_predictor_scan_seconds"]
        ),
        "eas_predict_command_2d": _of_pairs(commands["default"], commands["eas_ours"]),
    }


def network_ratios(rows: dict[str, dict[str, Any]], other: str) -> dict[str, float]:
    """Another network / ours."""
    two, eas = rows[f"{other}_2d"], rows["eas_2d"]
    three, eas_3d = rows[f"{other}_3d_fullres"], rows["eas_3d_fullres"]
    return {
        "train_step_2d": _of_pairs(two["step_seconds"], eas["step_seconds"]),
        "train_memory_2d": two["peak_bytes"] / eas["peak_bytes"],
        "predict_network_2d": _of_pairs(two["scan_seconds"], eas["scan_seconds"]),
        "train_step_3d": _of_pairs(three["step_seconds"], eas_3d["step_seconds"]),
        "predict_network_3d": _of_pairs(three["scan_seconds"], eas_3d["scan_seconds"]),
    }


def _of_pairs(others: list[float], ours: list[float]) -> float:
    """The median over the rounds of the quotient in a round."""
    return statistics.median(a / b for a, b in zip(others, ours, strict=True))


if __name__ == "__main__":
    main()
