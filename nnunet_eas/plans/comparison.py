"""Summaries of a dataset's plans beside those of nnU-Net's default plans, and drawings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from nnunetv2.paths import nnUNet_preprocessed
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from nnunet_eas.plans.check import check_dataset, check_plans
from nnunet_eas.plans.named_classes import check_named_classes
from nnunet_eas.plans.preprocessed_data import DEFAULT_PLANS
from nnunet_eas.plans.summary import ConfigurationSummary, summarise
from nnunet_eas.plans.translation import translate_plans
from nnunet_eas.support.checkpoints import is_trusted
from nnunet_eas.support.datasets import check_folders, dataset_name
from nnunet_eas.support.files import read_json


class Comparison(NamedTuple):
    """One configuration of a dataset: summaries by the name of their plans, and the drawing's file if there is one."""

    title: str
    summaries: dict[str, ConfigurationSummary]
    drawing: Path | None


def compare_plans(
    dataset_id: int, plans_name: str, configurations: Sequence[str] | None = None, drawings: Path | None = None
) -> Iterator[Comparison]:
    """Summarises plans as EASUNetTrainer trains them, beside nnU-Net's default plans where those exist.

    `configurations` None is all; each network is drawn into the folder `drawings`, which is made where it is missing.
    """
    check_folders("nnUNet_preprocessed")
    name = dataset_name(dataset_id)
    folder = Path(str(nnUNet_preprocessed)) / name
    file = folder / f"{plans_name}.json"
    if not file.is_file():
        raise FileNotFoundError(
            f"plans_name (-p) must name plans of {name}, got {plans_name}, which is not in {folder}. "
            f"Run nnunet-eas plan_experiment -d {dataset_id}, or give -p {DEFAULT_PLANS}."
        )
    plans = translate_plans(_read_plans(file))
    unknown = [c for c in configurations or () if c not in plans["configurations"]]
    if unknown:
        raise ValueError(
            f"configurations (-c) must be those of {plans_name}, got {' '.join(unknown)}. "
            f"It has {', '.join(plans['configurations'])}."
        )
    dataset_json = read_json(folder / "dataset.json", "dataset.json", keys=["numTraining"])
    check_dataset(dataset_json)
    default_file = folder / f"{DEFAULT_PLANS}.json"
    default = _read_plans(default_file) if default_file.is_file() else {"configurations": {}}
    default_title = f"{DEFAULT_PLANS}, stock" if plans_name == DEFAULT_PLANS else DEFAULT_PLANS
    for configuration in configurations or plans["configurations"]:
        title, summary = f"{configuration} of {name}", summarise(plans, configuration, dataset_json)
        summaries = {plans_name: summary}
        if configuration in default["configurations"]:
            summaries[default_title] = summarise(default, configuration, dataset_json)
        drawing = drawings / f"{name}_{plans_name}_{configuration}.png" if drawings else None
        if drawing:
            from nnunet_eas.plans.drawing import draw_network  # matplotlib takes a second to import

            drawing.parent.mkdir(parents=True, exist_ok=True)
            planned = PlansManager(plans).get_configuration(configuration).configuration
            sizes = {key: getattr(summary, key) for key in ("patch_size", "input_channels", "num_outputs")}
            draw_network(planned["architecture"], title=f"{title}, {plans_name}", path=drawing, **sizes)
        yield Comparison(title, summaries, drawing)


def _read_plans(file: Path) -> dict[str, Any]:
    plans: dict[str, Any] = read_json(file, file.name)
    check_plans(plans, file.name)
    if not is_trusted(False):
        check_named_classes(plans, file)
    return plans
