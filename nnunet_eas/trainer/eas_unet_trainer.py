"""EASUNetTrainer: nnU-Net's trainer with the EAS U-Net in the place of the planned network."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.file_path_utilities import get_output_folder
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager
from torch import nn

from nnunet_eas.cpu import accelerate, keep_freed_memory
from nnunet_eas.gpu import checkpoint_stages, fuse_norms_into_their_readers, lay_out, use_depthwise_kernels
from nnunet_eas.plans.translation import architecture_differences, check_structures, translate_plans
from nnunet_eas.support.datasets import check_folders
from nnunet_eas.support.parallel import THREADS_VARIABLE
from nnunet_eas.trainer.finite_data import FiniteData
from nnunet_eas.trainer.finite_steps import FiniteSteps
from nnunet_eas.trainer.interruptible import Interruptible
from nnunet_eas.trainer.progress_bar import ProgressBar
from nnunet_eas.trainer.reproducible import Reproducible
from nnunet_eas.trainer.whole_checkpoints import WholeCheckpoints


class EASUNetTrainer(ProgressBar, Interruptible, FiniteSteps, FiniteData, WholeCheckpoints, Reproducible):
    """Trains the EAS U-Net with nnU-Net's own schedule, from any plan.

    The constructor translates the plan's networks once, before nnU-Net sees the plan. The plan that nnU-Net then saves
    beside the model names `EASUNet` with all its arguments, so that prediction, a resumed training and the stock
    trainer build the same network. A plan of two stages has one output only and trains without deep supervision.

    On a terminal it shows a bar inside an epoch (`ProgressBar`), and it can be stopped and resumed (`Interruptible`)
    and repeated (`Reproducible`). Steps and images with values that are not finite do no harm (`FiniteSteps`,
    `FiniteData`), nor do kills and full disks (`WholeCheckpoints`).

    Args:
        plans: Content of a plans file. Not changed.
        configuration: 2d, 3d_fullres, ...
        fold: 0 to 4, or "all".
        dataset_json: Content of dataset.json.
        device: Where to train.

    Raises:
        RuntimeError: CUDA is asked for and absent, or a folder variable of nnU-Net is not set.
        ValueError: The dataset has no labels, or the plan can't be translated.
    """

    autocast_dtype = torch.float16  # number format on CUDA
    of_the_paper = False  # whether plans are translated to the paper's network
    settings: Mapping[str, float] = {}  # of a subclass: values for nnU-Net's attributes, by their names

    def __init__(
        self,
        plans: dict,
        configuration: str,
        fold: int,
        dataset_json: dict,
        device: torch.device = torch.device("cuda"),  # noqa: B008  nnU-Net's signature
    ) -> None:
        _check_surroundings(dataset_json, device)
        model_folder = get_output_folder(plans["dataset_name"], type(self).__name__, plans["plans_name"], configuration)
        trained = _read_plans(Path(model_folder) / "plans.json")
        prepared = self.prepare_plans(plans, configuration, trained)
        super().__init__(prepared, configuration, fold, dataset_json, device)
        if trained is not None:
            self._tell_of_another_network(self.prepare_plans(plans, configuration))
        if self.configuration_manager.network_arch_init_kwargs["n_stages"] == 2:
            # nnU-Net gives the lowest output the weight 0 and divides by the sum of the weights
            self.enable_deep_supervision = False
        if device.type == "cpu":
            keep_freed_memory()
            if os.environ.get(THREADS_VARIABLE, "").isdecimal():
                torch.set_num_threads(max(1, int(os.environ[THREADS_VARIABLE])))
        self.__dict__.update(self.settings)

    @classmethod
    def prepare_plans(
        cls, plans: dict[str, Any], configuration: str, trained: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """The plans that this trainer hands to nnU-Net: a copy in which every network is an EAS U-Net.

        Args:
            plans: Content of a plans file.
            configuration: The one to train.
            trained: The plans saved with folds that were trained before, whose network this one gets.
        """
        return translate_plans(plans, trained=trained, of_the_paper=cls.of_the_paper)

    def _tell_of_another_network(self, untrained: dict[str, Any]) -> None:
        """Writes to the log in what the folds beside this one, whose network it gets, differ from the plans."""
        planned = PlansManager(untrained).get_configuration(self.configuration_name)
        there = self.configuration_manager.configuration["architecture"]
        here = planned.configuration["architecture"]
        if differences := architecture_differences(there, here):
            self.print_to_log_file(
                f"This fold gets the network of the folds in {self.output_folder_base}, which an earlier version or "
                f"other plans began: {'; '.join(differences)}. For that of the plans, train under another plans_name."
            )

    @classmethod
    def build_network_architecture(  # nnU-Net looks at the argument names, and calls the method on the class
        cls,
        plans_manager: PlansManager,
        configuration_manager: ConfigurationManager,
        num_input_channels: int,
        num_output_channels: int,
        enable_deep_supervision: bool = True,
    ) -> nn.Module:
        """The network of the plan, with the fast CPU paths of `nnunet_eas.cpu`; training and prediction call this.

        nnU-Net calls autocast without a number format, and so takes that of the process, which is set here as well.
        """
        torch.set_autocast_dtype("cuda", cls.autocast_dtype)
        if not torch.cuda.is_available():
            keep_freed_memory()
        network = nnUNetTrainer.build_network_architecture(
            plans_manager, configuration_manager, num_input_channels, num_output_channels, enable_deep_supervision
        )
        lay_out(network, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
        accelerate(network)
        if torch.cuda.is_available():
            use_depthwise_kernels(network)
        return network

    def initialize(self) -> None:
        """Initialises as nnU-Net does; lays the network out for the device, and saves memory where the plan says so.

        Both reach into the wrappers of torch.compile and DDP, which look at the network at their first step only. On a
        CPU `accelerate` has put recomputation in place already.
        """
        super().initialize()
        lay_out(self.network, self.device)
        if self.device.type != "cpu":
            fuse_norms_into_their_readers()
            if self.configuration_manager.configuration.get("recompute", False):
                checkpoint_stages(self.network)

    def check_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Checks that a checkpoint holds this network.

        Weights of another network can have the same shapes (with other rates, for example) and would load silently.

        Raises:
            RuntimeError: The checkpoint holds another network, or another number of classes or channels.
        """
        init_args = checkpoint["init_args"]
        trained = PlansManager(init_args["plans"]).get_configuration(init_args["configuration"])
        differences = architecture_differences(
            trained.configuration["architecture"], self.configuration_manager.configuration["architecture"]
        )
        differences += _shape_differences(checkpoint["network_weights"], self.network.state_dict())
        if differences:
            raise RuntimeError(
                f"The checkpoint must hold the network of {self.output_folder}, got another one: "
                f"{'; '.join(differences[:3])}. Continue with that plan, or train anew in another folder."
            )


def _read_plans(path: Path) -> dict[str, Any] | None:
    """The content of a plans file; None where there is none, or half of one that nobody completes.

    Raises:
        ValueError: Half a file stands beside trained folds, whose network it named.
    """
    for _ in range(20):
        try:
            plans: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            return plans
        except FileNotFoundError:
            return None
        except json.JSONDecodeError:  # nnU-Net writes it in place, perhaps now for another fold
            time.sleep(0.1)
    if any(path.parent.glob("fold_*/checkpoint_*.pth")):
        raise ValueError(
            f"{path} must be a whole JSON file, because it names the network of the folds there, got a part of one. "
            "Write it again from a checkpoint (init_args, plans), or train in another folder."
        )
    return None


def _check_surroundings(dataset_json: dict[str, Any], device: torch.device) -> None:
    if device.type == "cuda" and not torch.cuda.is_available():
        raise RuntimeError("device must be one that this machine has, got cuda without a usable GPU. Use -device cpu.")
    check_folders("nnUNet_preprocessed", "nnUNet_results")
    check_structures(dataset_json)


def _shape_differences(*weights: Mapping[str, torch.Tensor]) -> list[str]:
    # DistributedDataParallel and torch.compile put their prefixes before the names
    saved, own = (
        {key.removeprefix("module.").removeprefix("_orig_mod."): tuple(value.shape) for key, value in of_one.items()}
        for of_one in weights
    )
    return [
        f"{key} is {saved.get(key, 'absent')} there and {shape} here"
        + (" (another number of classes)" if ".seg_layers." in key else "")
        for key, shape in own.items()
        if saved.get(key) != shape
    ]
