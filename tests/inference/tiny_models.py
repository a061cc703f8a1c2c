"""Trained models in files: nnU-Net's folder with networks of a few channels, drawn at random and never trained."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from nnunet_eas.plans.translation import translate_plans

LABELS = {"background": 0, "core": 1, "shell": 2}
REGIONS = {"background": 0, "whole": [1, 2], "core": 1, "ignore": 3}

# The scan's axes are (z, y, x); the plan's order of them is no swap, so that forward and backward are not the same.
TRANSPOSE_FORWARD, TRANSPOSE_BACKWARD = [2, 0, 1], [1, 2, 0]
SPACING = (2.4, 1.2, 0.9)  # of the scan, and of the plan in the plan's order:
PLANNED_SPACING = [SPACING[axis] for axis in TRANSPOSE_FORWARD]
PATCHES = {"2d": [16, 24], "3d_fullres": [16, 8, 24], "3d_cascade_fullres": [16, 8, 24]}
STRIDES = {2: [[1, 1], [2, 2], [2, 2]], 3: [[1, 1, 1], [2, 1, 2], [2, 2, 2]]}
INTENSITIES = {
    "max": 1000.0,
    "mean": 500.0,
    "median": 400.0,
    "min": -10.0,
    "percentile_00_5": 12.5,
    "percentile_99_5": 975.0,
    "std": 225.0,
}


def plans(normalization: tuple[str, ...] = ("ZScoreNormalization",)) -> dict[str, Any]:
    """The content of a plans file as nnU-Net's planner writes it, with one scheme of normalisation for each channel."""
    return {
        "dataset_name": "Dataset906_Tiny",
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": PLANNED_SPACING,
        "original_median_shape_after_transp": [30, 14, 22],
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": TRANSPOSE_FORWARD,
        "transpose_backward": TRANSPOSE_BACKWARD,
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {
            str(channel): {**INTENSITIES, "mean": 500.0 + channel} for channel in range(len(normalization))
        },
        "configurations": {
            "2d": _configuration("2d", normalization),
            "3d_fullres": _configuration("3d_fullres", normalization),
            "3d_lowres": {"inherits_from": "3d_fullres"},
            "3d_cascade_fullres": {"inherits_from": "3d_fullres", "previous_stage": "3d_lowres"},
        },
    }


def write_model(
    parent: Path,
    configuration: str = "2d",
    *,
    trainer: type[nnUNetTrainer] = nnUNetTrainer,
    folds: tuple[int | str, ...] = (0,),
    normalization: tuple[str, ...] = ("ZScoreNormalization",),
    labels: dict[str, Any] | None = None,
    mirroring_axes: tuple[int, ...] | None = (0, 1),
    **dataset_json: Any,
) -> Path:
    """Write the folder of a trained model, TRAINER__PLANS__CONFIGURATION, and return it.

    Args:
        parent: Where to.
        configuration: One of those in `plans`.
        trainer: Its networks are built, its name is recorded. Ours translates the plan, as it does in training.
        folds: Each gets a network of its own.
        normalization: A scheme for each channel; there are as many channels.
        labels: As in dataset.json, None for `LABELS`.
        mirroring_axes: As in a checkpoint.
        **dataset_json: Further entries of dataset.json.
    """
    content = plans(normalization)
    if trainer.__name__.startswith("EASUNet"):
        content = translate_plans(content, of_the_paper=trainer.of_the_paper)
    folder = parent / f"{trainer.__name__}__nnUNetPlans__{configuration}"
    folder.mkdir(parents=True)
    described = {
        "channel_names": {str(channel): f"MR{channel}" for channel in range(len(normalization))},
        "labels": LABELS if labels is None else labels,
        "numTraining": 5,
        "file_ending": ".nii.gz",
        **dataset_json,
    }
    (folder / "dataset.json").write_text(json.dumps(described), encoding="utf-8")
    (folder / "plans.json").write_text(json.dumps(content), encoding="utf-8")

    manager = PlansManager(copy.deepcopy(content))
    of_configuration = manager.get_configuration(configuration)
    channels = determine_num_input_channels(manager, of_configuration, described)
    heads = manager.get_label_manager(described).num_segmentation_heads
    for seed, fold in enumerate(folds):
        torch.manual_seed(seed)
        network = trainer.build_network_architecture(manager, of_configuration, channels, heads, True)
        randomise(network, (4, channels, *of_configuration.patch_size))
        checkpoint = {
            "network_weights": network.state_dict(),
            "init_args": {"plans": content, "configuration": configuration, "fold": fold, "dataset_json": described},
            "trainer_name": trainer.__name__,
            "inference_allowed_mirroring_axes": mirroring_axes,
        }
        (folder / f"fold_{fold}").mkdir()
        torch.save(checkpoint, folder / f"fold_{fold}" / "checkpoint_final.pth")
    return folder


def randomise(network: nn.Module, shape: tuple[int, ...]) -> None:
    """Make it a network in which anything left out shows: no constant parameters, each output somewhere the largest.

    Args:
        network: Freshly built, with deep supervision. Left in evaluation mode.
        shape: Of a batch.
    """
    heads = network.decoder.seg_layers
    last = heads[-1] if isinstance(heads, nn.ModuleList) else heads.fusion
    batch = nn.functional.interpolate(torch.randn(*shape[:2], *[edge // 4 for edge in shape[2:]]), shape[2:])
    batch += 0.1 * torch.randn(shape)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim == 1:  # norms and biases
                parameter += 0.3 * torch.randn_like(parameter)
        for module in network.modules():
            if isinstance(module, _BatchNorm):
                module.momentum = 1.0  # the next batch's statistics, as if it had been trained on such images
        network.train()(batch)
        logits = network.eval()(batch)[0].transpose(0, 1).flatten(1)
        mean, deviation = logits.mean(dim=1), logits.std(dim=1)
        last.weight /= deviation.reshape(-1, *[1] * (last.weight.ndim - 1))
        last.bias.copy_((last.bias - mean) / deviation)


def _configuration(name: str, normalization: tuple[str, ...]) -> dict[str, Any]:
    patch = PATCHES[name]
    dim, stages = len(patch), 3
    resampling = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}
    return {
        "data_identifier": f"nnUNetPlans_{name}",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": patch,
        "median_image_size_in_voxels": [30.0, 14.0, 22.0][-dim:],
        "spacing": PLANNED_SPACING[-dim:],
        "normalization_schemes": list(normalization),
        "use_mask_for_norm": [False] * len(normalization),
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": resampling,
        "resampling_fn_seg": "resample_data_or_seg_to_shape",
        "resampling_fn_seg_kwargs": {**resampling, "is_seg": True, "order": 1},
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities_kwargs": {**resampling, "order": 1},
        "batch_dice": dim == 2,
        "architecture": {
            "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
            "arch_kwargs": {
                "n_stages": stages,
                "features_per_stage": [8, 12, 16],
                "conv_op": f"torch.nn.modules.conv.Conv{dim}d",
                "kernel_sizes": [[3] * dim] * stages,
                "strides": STRIDES[dim],
                "n_conv_per_stage": [2, 1, 1],
                "n_conv_per_stage_decoder": [1] * (stages - 1),
                "conv_bias": True,
                "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{dim}d",
                "norm_op_kwargs": {"eps": 1e-05, "affine": True},
                "dropout_op": None,
                "dropout_op_kwargs": None,
                "nonlin": "torch.nn.LeakyReLU",
                "nonlin_kwargs": {"inplace": True},
            },
            "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        },
    }
