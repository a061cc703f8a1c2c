r"""Default nnU-Net, ResEnc-M and EAS U-Net on the same plans, in turns: training step, memory, prediction, commands.

    python benchmarks/speed.py [--quick] --device cpu --json OUT.json

Nothing is trained and no data are needed: a network takes as long with random weights on a random scan. Each network
runs in a process of its own, as in nnU-Net's commands. Steps are the trainers' own,
network times are nnU-Net's sliding window with mirroring, commands are `nnUNetv2_predict` and
`nnunet-eas predict` on the same scan in files. `ratios` are default / ours, medians of the pairs of one round:

    train_step_2d, train_step_3d          a training step
    train_memory_2d                       the most memory in a step
    predict_network_2d, predict_network_3d    nnU-Net's predictor on both networks
    eas_predict_network_2d                nnU-Net's predictor on the default network, our predictor on ours
    eas_predict_command_2d                the same as whole commands, with reading, start-up and writing

`floor` says what the machine could do at best: FLOPs over its measured matrix rate, and bytes (each block's input read
once, its output written once) over its measured bandwidth; for every stage beside what it took.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import environment
import numpy as np
import SimpleITK as sitk
import torch
from arms import ARMS, TRAINERS
from host_commands import with_trainers, write_json
from measured import Apart, Measured, seconds, spread
from speed_floor import floor

NETWORKS = ("default", "resenc_m", "eas")
DATASET = "Dataset521_Speed"
SPACING = {"2d": [0.36, 0.36], "3d_fullres": [0.7, 0.36, 0.36]}


def main() -> None:
    """Measures and writes the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, required=True, help="the file to write")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--quick", action="store_true", help="12 slices, batch 2, a smaller 3-D patch: minutes")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=None, help="(default: 3, --quick 2)")
    args = parser.parse_args()
    args.rounds = args.rounds or (2 if args.quick else 3)
    os.environ.update(with_trainers(TRAINERS), BENCHMARK_THREADS=str(args.threads), OMP_NUM_THREADS=str(args.threads))
    os.environ.update(BENCHMARK_EPOCHS="1", BENCHMARK_ITERATIONS="1", BENCHMARK_VAL_ITERATIONS="1")
    torch.set_num_threads(args.threads)
    small = args.quick or args.device == "cpu"
    slices = 12 if small else 160  # a network's time grows with them; a whole command has fixed costs, too
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        for name in ("raw", "preprocessed", "results"):
            os.environ[f"nnUNet_{name}"] = str(work / name)
            (work / name / DATASET).mkdir(parents=True)
        for configuration in SPACING:  # a trainer looks at what kind of files its data are
            folder_of_data = work / "preprocessed" / DATASET / f"nnUNetPlans_{configuration}"
            folder_of_data.mkdir()
            (folder_of_data / "knee.b2nd").touch()
        rows = measure("2d", [384, 384], 2 if small else 12, [slices, 384, 384], args)
        patch = [32, 96, 96] if small else [80, 192, 160]
        rows |= measure("3d_fullres", patch, 2, patch if small else [slices, 384, 384], args)
        commands = measure_commands(work, 12 if args.quick else 160, args)
        content = {
            "device": args.device,
            "quick": args.quick,
            "threads": args.threads,
            "ratios": ratios(rows, commands),
            "networks": rows,
            "commands": commands,
            "floor": floor(torch.device(args.device), [384, 384]),
            "environment": environment.describe(),
        }
    write_json(args.json, content)
    for name, ratio in content["ratios"].items():
        print(f"{name}: {ratio:.2f}")


def plans_of(configuration: str, patch: list[int], batch: int, network: str) -> dict[str, Any]:
    """The plan that all networks share, in nnU-Net's form."""
    dim = len(patch)
    stages = 7 if dim == 2 else 6
    most = 512 if dim == 2 else 320
    edges, strides = list(patch), [[1] * dim]
    for _ in range(stages - 1):
        strides.append([2 if edge >= 8 and edge % 2 == 0 else 1 for edge in edges])
        edges = [edge // stride for edge, stride in zip(edges, strides[-1], strict=True)]
    kwargs: dict[str, Any] = {
        "n_stages": stages,
        "features_per_stage": [min(32 * 2**i, most) for i in range(stages)],
        "conv_op": f"torch.nn.modules.conv.Conv{dim}d",
        "kernel_sizes": [[3] * dim] * stages,
        "strides": strides,
        "n_conv_per_stage": [2] * stages,
        "n_conv_per_stage_decoder": [2] * (stages - 1),
        "conv_bias": True,
        "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{dim}d",
        "norm_op_kwargs": {"eps": 1e-5, "affine": True},
        "dropout_op": None,
        "dropout_op_kwargs": None,
        "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
    }
    class_name = "PlainConvUNet"
    if network == "resenc_m":
        class_name = "ResidualEncoderUNet"
        kwargs["n_blocks_per_stage"] = [1, 3, 4, 6, 6, 6, 6][:stages]
        kwargs["n_conv_per_stage_decoder"] = [1] * (stages - 1)
        del kwargs["n_conv_per_stage"]
    resampling = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}
    planned = {
        "data_identifier": f"nnUNetPlans_{configuration}",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": batch,
        "patch_size": patch,
        "median_image_size_in_voxels": [160, 384, 384][-dim:],
        "spacing": SPACING[configuration],
        "normalization_schemes": ["ZScoreNormalization"],
        "use_mask_for_norm": [False],
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_seg": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": resampling,
        "resampling_fn_seg_kwargs": {**resampling, "is_seg": True, "order": 1},
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities_kwargs": {**resampling, "order": 1},
        "architecture": {
            "network_class_name": f"dynamic_network_architectures.architectures.unet.{class_name}",
            "arch_kwargs": kwargs,
            "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        },
        "batch_dice": True,
    }
    return {
        "dataset_name": DATASET,
        "plans_name": network,
        "original_median_spacing_after_transp": SPACING["3d_fullres"],
        "original_median_shape_after_transp": [160, 384, 384],
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": {configuration: planned},
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {
            "0": dict.fromkeys(("max", "mean", "median", "min", "percentile_00_5", "percentile_99_5", "std"), 1.0)
        },
    }


DATASET_JSON = {
    "channel_names": {"0": "MR"},
    "labels": {"background": 0, "femoral_cartilage": 1, "tibial_cartilage": 2},
    "numTraining": 1,
    "file_ending": ".nii.gz",
}


def measure(
    configuration: str, patch: list[int], batch: int, scan: list[int], args: argparse.Namespace
) -> dict[str, dict[str, Any]]:
    """Training step, prediction and memory of all networks in turns."""
    names = ("default", "eas") if args.quick else NETWORKS  # ResEnc-M takes longer than all the rest together
    device = torch.device(args.device)

    def apart(name: str) -> Apart:
        plans, trainer = plans_of(configuration, patch, batch, name), f"{ARMS[name].trainer}_short"
        return Apart(Speed, plans, configuration, DATASET_JSON, trainer, device, scan)

    training = {name: apart(name) for name in names}
    prediction = {name: apart(name) for name in names}
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
            said = ", ".join(f"{what} {value:.2f}" for what, value in taken.items())
            print(f"{configuration} round {round_} {name}: {said}", flush=True)
            for what, value in taken.items():
                rows[name][what].append(value)
    for name in names:
        rows[name] |= {**prediction[name]("size"), "peak_bytes": training[name]("peak_bytes")}
        training[name].close()
        prediction[name].close()
    return {f"{name}_{configuration}": row for name, row in rows.items()}


class Speed(Measured):
    """With `nnunet-eas predict`'s predictor, and a folder as after a training."""

    def predict_patch(self) -> None:
        """By our predictor, too."""
        super().predict_patch()
        if hasattr(self, "ours"):
            self.ours.predict_logits_from_preprocessed_data(torch.randn(self.channels, *self._smallest_scan()))

    def save(self) -> None:
        """The model's folder, for the commands."""
        folder = Path(self.trainer.output_folder_base)
        (folder / "plans.json").write_text(json.dumps(self.trainer.plans_manager.plans))
        (folder / "dataset.json").write_text(json.dumps(DATASET_JSON))
        self.trainer.save_checkpoint(str(Path(self.trainer.output_folder) / "checkpoint_final.pth"))

    def build_our_predictor(self) -> str:
        """`nnunet-eas predict`'s predictor around the same network; the engine that it chooses."""
        from nnunet_eas.inference.batched_predictor import BatchedPredictor
        from nnunet_eas.inference.engines import forwards_of
        from nnunet_eas.inference.trained_model import TrainedModel

        host = self.predictor
        model = TrainedModel(
            trainer_name=host.trainer_name,
            configuration_name="2d",
            plans_manager=host.plans_manager,
            configuration=host.configuration_manager,
            dataset_json=DATASET_JSON,
            folds=(0,),
            networks=(host.network,),
            mirroring_axes=tuple(host.allowed_mirroring_axes),
        )
        self.ours = BatchedPredictor(device=self.device, perform_everything_on_device=self.device.type == "cuda")
        self.ours.allow_tqdm = False
        self.ours.manual_initialization(
            host.network, host.plans_manager, host.configuration_manager, None, DATASET_JSON, host.trainer_name, (0, 1)
        )
        self.ours.forwards, engine = forwards_of(model, self.device, "auto")
        return engine

    def our_predictor_scan_seconds(self) -> float:
        """Of a scan."""
        return seconds(partial(self.ours.predict_logits_from_preprocessed_data, self.scan), self.device)


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
        del commands["eas_stock"]  # in no ratio
    taken: dict[str, list[float]] = {name: [] for name in commands}
    for round_ in range(1 if args.quick or args.device == "cpu" else 3):
        for name, (script, *arguments) in commands.items():
            command = [str(Path(sys.executable).parent / script), *arguments]
            model = ["-d", DATASET, "-c", "2d", "-f", "0", "-device", args.device, "--disable_progress_bar"]
            start = time.perf_counter()
            done = subprocess.run(
                [*command, *model, "-i", str(scans), "-o", str(work / f"masks_{name}")],
                capture_output=True,
                text=True,
                check=False,
            )
            taken[name].append(time.perf_counter() - start)
            if done.returncode:
                raise SystemExit(f"{script} ended with {done.returncode}: {done.stderr[-2000:]}")
            print(f"command round {round_} {name}: {taken[name][-1]:.1f} s", flush=True)
    return {**taken, "slices": slices, "summary": {name: spread(values) for name, values in taken.items()}}


def ratios(rows: dict[str, dict[str, Any]], commands: dict[str, Any]) -> dict[str, float]:
    """Default / ours: the median over the rounds of the quotient in a round."""

    def of_pairs(default: list[float], ours: list[float]) -> float:
        return statistics.median(a / b for a, b in zip(default, ours, strict=True))

    default, eas = rows["default_2d"], rows["eas_2d"]
    default_3d, eas_3d = rows["default_3d_fullres"], rows["eas_3d_fullres"]
    return {
        "train_step_2d": of_pairs(default["step_seconds"], eas["step_seconds"]),
        "train_memory_2d": default["peak_bytes"] / eas["peak_bytes"],
        "predict_network_2d": of_pairs(default["scan_seconds"], eas["scan_seconds"]),
        "eas_predict_network_2d": of_pairs(default["scan_seconds"], eas["our_predictor_scan_seconds"]),
        "eas_predict_command_2d": of_pairs(commands["default"], commands["eas_ours"]),
        "train_step_3d": of_pairs(default_3d["step_seconds"], eas_3d["step_seconds"]),
        "predict_network_3d": of_pairs(default_3d["scan_seconds"], eas_3d["scan_seconds"]),
    }


if __name__ == "__main__":
    main()
