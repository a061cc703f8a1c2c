"""EASUNetPlanner: nnU-Net's planner with the EAS U-Net, sized by the memory that a training step takes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from batchgenerators.utilities.file_and_folder_operations import save_json
from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import ExperimentPlanner
from nnunetv2.paths import nnUNet_preprocessed
from nnunetv2.utilities.json_export import recursive_fix_for_json_export

from nnunet_eas.network.eas_unet import EASUNet
from nnunet_eas.plans.checks import check_files, check_preprocessor, check_spacing
from nnunet_eas.plans.memory_budget import RESERVED, MemoryBudget
from nnunet_eas.plans.preprocessed_data import reuse_preprocessed_data
from nnunet_eas.plans.translation import PLANS_FORMAT, refuse_later_plans, translate_architecture
from nnunet_eas.support.datasets import dataset_name
from nnunet_eas.support.files import read_json, replacing

CONFIGURATIONS = ("2d", "3d_fullres", "3d_lowres", "3d_cascade_fullres")

NNUNET_FILES = ("dataset", "dataset_fingerprint", "splits_final")  # nnU-Net's own, in the folder of the plans


class ImagesTooSmallError(ValueError):
    """The images of a configuration cannot be pooled even once."""


class TargetTooSmallError(ValueError):
    """The memory target is too small for two of the configuration's smallest patches."""


class EASUNetPlanner(ExperimentPlanner):
    """Plans EAS U-Nets for a dataset and a GPU, as nnU-Net plans its own networks.

    nnU-Net's rules for spacing, topology, patch (the largest that fits with a batch of two) and batch (as many as fit,
    at most 5 % of the data) are kept. Differs in the memory estimate: nnU-Net compares the feature maps of all
    convolutions with reference values; this planner counts the bytes of a training step, eager and in half precision
    (`nnunet_eas.plans.training_memory`), and rounds batch and patch down. A compiled step takes less. In 3-D the input
    is that of a cascade's second stage, which inherits the patch and batch of 3d_fullres. The stages' maps are computed
    again in the backward pass (`recompute` in the plan) where patch and batch would not fit otherwise.

    A configuration whose images are too small for two stages is left out, and so is a low resolution that the target is
    too small for; a printed line says so.

    Args:
        dataset_name_or_id: 4 or Dataset004_Hippocampus; the dataset must have a fingerprint.
        gpu_memory_target_in_gb: Memory that a training may take, in units of 10^9 bytes.
        preprocessor_name: Class name of nnU-Net's preprocessor.
        plans_name: Name of the plans file.
        overwrite_target_spacing: Spacing of 3d_fullres in mm, one per axis in the images' order. None: the dataset's.
        suppress_transpose: Keep the images' axis order.

    Raises:
        FileNotFoundError: No dataset.json or no fingerprint.
        ValueError: A spacing or the target is not positive, the target is too small for the smallest patch, no
            configuration can be planned, or the existing plans of this name come from a later version.
        RuntimeError: No dataset has this id, or one of nnU-Net's folders is not set.
    """

    requested_configurations: Sequence[str] = ()  # by a user, by name; checked before a plans file is written

    def __init__(
        self,
        dataset_name_or_id: str | int,
        gpu_memory_target_in_gb: float = 8,
        preprocessor_name: str = "DefaultPreprocessor",
        plans_name: str = "EASUNetPlans",
        overwrite_target_spacing: Sequence[float] | None = None,
        suppress_transpose: bool = False,
    ) -> None:
        target_gb = gpu_memory_target_in_gb
        if not 0 < target_gb < math.inf:
            raise ValueError(
                f"gpu_memory_target_in_gb (-gpu_memory_target) must be positive, got {target_gb}. Give gigabytes."
            )
        if not plans_name or Path(plans_name).name != plans_name or plans_name in NNUNET_FILES:
            raise ValueError(
                "plans_name (-overwrite_plans_name) must be a name without folders and none of "
                f"{', '.join(NNUNET_FILES)}, got {plans_name!r}. Choose another name."
            )
        target_spacing = None if overwrite_target_spacing is None else [float(i) for i in overwrite_target_spacing]
        check_spacing("overwrite_target_spacing", target_spacing)
        check_files(dataset_name(dataset_name_or_id))
        super().__init__(
            dataset_name_or_id, target_gb, preprocessor_name, plans_name, target_spacing, suppress_transpose
        )
        for identifier, spacing in zip(self.dataset, self.dataset_fingerprint["spacings"], strict=False):
            check_spacing(f"spacing of {identifier}", spacing)
        self.plans_file = Path(str(nnUNet_preprocessed)) / self.dataset_name / f"{plans_name}.json"
        old = self._existing_plans()
        if old and "nnunet_eas" not in old:
            raise ValueError(
                "plans_name (-overwrite_plans_name) must not be the name of another planner's plans, got "
                f"{plans_name}, by {old.get('experiment_planner_used')}. Choose another name."
            )
        refuse_later_plans(old)
        check_preprocessor(preprocessor_name)

        self.UNet_class = EASUNet
        # nnU-Net compares `estimate / reference_batch * 2` with `reference` and takes `reference / estimate *
        # reference_batch` samples. With these references an estimate of 1 / n means that n samples fit.
        self.UNet_reference_val_2d = self.UNet_reference_val_3d = 1.0
        self.UNet_reference_val_corresp_bs_2d = self.UNet_reference_val_corresp_bs_3d = 1
        self.UNet_reference_val_corresp_GB = target_gb
        self.budget = MemoryBudget(target_gb, self.dataset_json)

    def static_estimate_VRAM_usage(self, patch_size: Sequence[int], *network: Any) -> float:  # static in nnU-Net
        """Estimates 1 / the number of samples that fit, infinity for none; nnU-Net makes a batch of it."""
        _input_channels, _output_channels, arch_class_name, arch_kwargs, _arch_kwargs_req_import = network
        if arch_kwargs["n_stages"] < 2 or min(patch_size) < 1:
            self._give_up()
        patch_size = [int(i) for i in patch_size]
        planned = {"network_class_name": arch_class_name, "arch_kwargs": arch_kwargs}
        architecture = translate_architecture({"patch_size": patch_size, "architecture": planned})
        samples = self.budget.samples_that_fit(architecture, patch_size)
        return 1 / samples if samples > 0 else math.inf

    def get_plans_for_configuration(
        self, spacing: Sequence[float], median_shape: Sequence[float], data_identifier: str, n_voxels: float, _: Any
    ) -> dict[str, Any]:
        """Plans a configuration as nnU-Net does; the plan names every argument of the EAS U-Net, and its batch fits."""
        self._configuration = data_identifier.removeprefix(f"{self.plans_identifier}_")
        self.budget.least_bytes = math.inf
        try:
            # an empty cache for every call: least_bytes must see every estimate, and the budget has its own cache
            plan = super().get_plans_for_configuration(spacing, median_shape, data_identifier, n_voxels, {})
        except (ImagesTooSmallError, TargetTooSmallError) as error:
            if isinstance(error, TargetTooSmallError) and self._configuration != "3d_lowres":
                raise  # only the low resolution is optional
            print(f"{error} It is left out.")
            return {"patch_size": median_shape, "spacing": spacing, "left_out": str(error)}
        plan["patch_size"] = [int(i) for i in plan["patch_size"]]
        plan["architecture"] = translate_architecture(plan)
        plan["recompute"] = self.budget.needs_recompute(plan["architecture"], plan["patch_size"], plan["batch_size"])
        return plan

    def save_plans(self, plans: dict[str, Any]) -> None:
        """Writes the plans file, whole or not at all.

        Differs from nnU-Net: of the existing file only a user's own configurations are kept, not those of nnU-Net's
        four names that the new plan lacks.
        """
        configurations = plans["configurations"]
        left_out = [name for name, plan in configurations.items() if "left_out" in plan]
        reasons = " ".join(configurations.pop(name)["left_out"] for name in left_out)
        if "3d_lowres" in left_out:
            del configurations["3d_cascade_fullres"]
            configurations["3d_fullres"]["batch_dice"] = False  # nnU-Net's choice without a cascade
        if not configurations:
            raise ValueError(reasons)
        old = self._existing_plans().get("configurations", {})
        custom = _with_their_parents({k: v for k, v in old.items() if k not in CONFIGURATIONS}, configurations)
        self._check_request([*configurations, *custom], reasons)
        target = float(self.UNet_vram_target_GB)
        plans["nnunet_eas"] = {"plans_format": PLANS_FORMAT, "gpu_memory_target_in_gb": target, "reserved": RESERVED}
        recursive_fix_for_json_export(plans)
        for name, decision in reuse_preprocessed_data(plans, self.plans_file.parent, list(self.dataset)):
            print(f"{name}: {decision}")
        configurations.update(custom)
        with replacing(self.plans_file) as temporary:
            save_json(plans, str(temporary), sort_keys=False)  # not write_json: a fingerprint may hold NaN
        print(f"Plans were saved to {self.plans_file}")

    def _existing_plans(self) -> dict[str, Any]:
        remedy = "Delete them, or give -overwrite_plans_name."
        return read_json(self.plans_file, "The existing plans", remedy) if self.plans_file.is_file() else {}

    def _check_request(self, available: Sequence[str], reasons: str) -> None:
        requested = self.requested_configurations
        unknown = [name for name in requested if name not in (*CONFIGURATIONS, *available)]
        if unknown or (requested and not {*requested} & {*available}):  # as in nnU-Net, not all need to exist
            raise ValueError(
                f"configurations (-c) must be those of {self.plans_identifier} for {self.dataset_name}, got "
                f"{' '.join(unknown or requested)}. There {'are' if len(available) > 1 else 'is'} "
                f"{', '.join(available)}. {reasons}".strip()
            )

    def _give_up(self) -> None:
        name = f"{self._configuration} of {self.dataset_name}"
        if math.isinf(self.budget.least_bytes):
            raise ImagesTooSmallError(
                f"{name}: the images are too small for a U-Net of two stages, whose coarsest map has an edge of at "
                f"least {self.UNet_featuremap_min_edge_length}."
            )
        needed = math.ceil(self.budget.least_bytes / (1 - RESERVED) / 1e7) / 100
        raise TargetTooSmallError(
            f"gpu_memory_target_in_gb (-gpu_memory_target) must be at least {needed} GB for {name}, got "
            f"{self.UNet_vram_target_GB}: two of its smallest patches do not fit. Give a larger target."
        )


def _with_their_parents(custom: dict[str, Any], planned: Mapping[str, Any]) -> dict[str, Any]:
    """Selects the user's own configurations whose parent exists: nnU-Net cannot read plans without the parent."""
    kept = {name: plan for name, plan in custom.items() if plan.get("inherits_from", name) in {*planned, *custom, name}}
    for name in sorted({*custom} - {*kept}):
        print(f"{name}: left out, it inherits from {custom[name]['inherits_from']}, which is no longer planned")
    return kept if len(kept) == len(custom) else _with_their_parents(kept, planned)
