"""A plan of nnU-Net's form for a knee scan, which all networks share, and folders in which no data are needed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
from torch import nn

from benchmarks.commands import folder_variables, trainer_variables
from nnunet_eas.plans.translation import translate_plans

DATASET = "Dataset521_Speed"
EAS = ("eas", "eas_paper")
SPACING = {"2d": [0.36, 0.36], "3d_fullres": [0.7, 0.36, 0.36]}
DATASET_JSON = {
    "channel_names": {"0": "MR"},
    "labels": {"background": 0, "femoral_cartilage": 1, "tibial_cartilage": 2},
    "numTraining": 1,
    "file_ending": ".nii.gz",
}


def set_environment(work: Path, threads: int) -> None:
    """Makes nnU-Net's folders below `work`, and sets all variables that the benchmark's trainers need."""
    variables = folder_variables(work)
    for folder in variables.values():
        (Path(folder) / DATASET).mkdir(parents=True, exist_ok=True)
    for configuration in SPACING:  # a trainer looks at the type of its data's files
        data = work / "preprocessed" / DATASET / f"nnUNetPlans_{configuration}"
        data.mkdir(exist_ok=True)
        (data / "knee.b2nd").touch()
    os.environ.update(variables, **trainer_variables())
    os.environ.update(BENCHMARK_THREADS=str(threads), OMP_NUM_THREADS=str(threads))
    os.environ.update(BENCHMARK_EPOCHS="1", BENCHMARK_ITERATIONS="1", BENCHMARK_VAL_ITERATIONS="1")


def plans_of(
    configuration: str, patch: list[int], batch: int, network: str, stages: int | None = None
) -> dict[str, Any]:
    """The content of a plans file with one configuration.

    Args:
        configuration: 2d or 3d_fullres.
        patch: In voxels.
        batch: Patches of a step.
        network: The plans' name; `resenc_m` gets nnU-Net's residual encoder, `eas` and `eas_paper` an EAS U-Net.
        stages: Stages of the network; None for nnU-Net's number with a knee's patch.
    """
    dim = len(patch)
    stages = stages or {2: 7, 3: 6}[dim]
    widest = {2: 512, 3: 320}[dim]
    edges, strides = list(patch), [[1] * dim]
    for _ in range(stages - 1):
        strides.append([2 if edge >= 8 and edge % 2 == 0 else 1 for edge in edges])
        edges = [edge // stride for edge, stride in zip(edges, strides[-1], strict=True)]
    kwargs: dict[str, Any] = {
        "n_stages": stages,
        "features_per_stage": [min(32 * 2**i, widest) for i in range(stages)],
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
    plans: dict[str, Any] = {
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
    return translate_plans(plans, of_the_paper=network == "eas_paper") if network in EAS else plans


def architectures(
    configuration: str, patch: list[int], stages: int | None = None, networks: Sequence[str] = ("default", "eas")
) -> dict[str, dict[str, Any]]:
    """The plan's `architecture` for each network."""
    plans = {name: plans_of(configuration, patch, 2, name, stages) for name in networks}
    return {name: each["configurations"][configuration]["architecture"] for name, each in plans.items()}


def build(architecture: dict[str, Any]) -> nn.Module:
    """The plain network as nnU-Net builds it for prediction."""
    return get_network_from_plans(
        architecture["network_class_name"],
        architecture["arch_kwargs"],
        architecture["_kw_requires_import"],
        1,
        len(DATASET_JSON["labels"]),
        deep_supervision=False,
    ).eval()
