"""nnU-Net's steps before a training, with EASUNetPlanner in the planner's place."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnunetv2.experiment_planning.plan_and_preprocess_api import (
    extract_fingerprint_dataset,
    preprocess_dataset,
)
from nnunetv2.paths import nnUNet_preprocessed, nnUNet_raw
from nnunetv2.utilities.dataset_name_id_conversion import find_candidate_datasets
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from nnunet_eas.plans.planner import CONFIGURATIONS, EASUNetPlanner

if TYPE_CHECKING:
    from collections.abc import Iterator

DEFAULT_PROCESSES = {"2d": 8, "3d_fullres": 4, "3d_lowres": 8}  # nnU-Net's, 4 for any other


def dataset_name(dataset_id: int) -> str:
    """The one dataset with this id, DatasetXXX_NAME.

    Raises:
        RuntimeError: nnU-Net's folders are not set.
        ValueError: None has this id, or several have.
    """
    for variable in (nnUNet_raw, nnUNet_preprocessed):
        if not variable.is_set():
            raise RuntimeError(f"{variable.env_var_name} must be set to a folder, got nothing. Run nnunet-eas doctor.")
    names = list(find_candidate_datasets(dataset_id))
    if len(names) != 1:
        raise ValueError(
            f"-d must be the id of one dataset in {nnUNet_raw}, got {dataset_id}, which "
            f"{' and '.join(names) + ' have' if names else 'none has'}. Look at its folders DatasetXXX_NAME."
        )
    return str(names[0])


def preprocessed_folder(name: str) -> Path:
    """The dataset's folder in nnUNet_preprocessed, where its plans lie."""
    return Path(str(nnUNet_preprocessed)) / name


def extract_fingerprint(
    dataset_id: int, *, num_processes: int, verify: bool, clean: bool, verbose: bool, show_progress_bar: bool
) -> None:
    """As nnUNetv2_extract_fingerprint; one that is there stays, unless `clean`."""
    dataset_name(dataset_id)
    with _one_line():
        extract_fingerprint_dataset(
            dataset_id,
            num_processes=num_processes,
            check_dataset_integrity=verify,
            clean=clean,
            verbose=verbose,
            show_progress_bar=show_progress_bar,
        )


def plan_experiment(
    dataset_id: int,
    *,
    gpu_memory_target_in_gb: float = 8,
    preprocessor_name: str = "DefaultPreprocessor",
    overwrite_target_spacing: Sequence[float] | None = None,
    plans_name: str = "EASUNetPlans",
    configurations: Sequence[str] = (),
) -> dict[str, Any]:
    """Plans a dataset with EASUNetPlanner, writes the plans file and returns its content.

    Args:
        dataset_id: Of a dataset with a fingerprint.
        gpu_memory_target_in_gb: What a training may take.
        preprocessor_name: Class name of nnU-Net's preprocessor.
        overwrite_target_spacing: For 3d_fullres, mm, in the images' axis order.
        plans_name: Of the plans file.
        configurations: What the user asked for by name; checked before anything is written.

    Raises:
        ValueError, FileNotFoundError, RuntimeError: As EASUNetPlanner; a configuration that does not exist.
    """
    dataset_name(dataset_id)

    with _one_line():
        planner = EASUNetPlanner(
            dataset_id,
            gpu_memory_target_in_gb,
            preprocessor_name,
            plans_name,
            None if overwrite_target_spacing is None else [float(i) for i in overwrite_target_spacing],
        )
        planner.requested_configurations = configurations
        plans: dict[str, Any] = planner.plan_experiment()
    return plans


def preprocess(
    dataset_id: int,
    plans: dict[str, Any],
    *,
    configurations: Sequence[str] = CONFIGURATIONS[:3],
    num_processes: Sequence[int] | None = None,
    verbose: bool = False,
    show_progress_bar: bool = True,
) -> None:
    """Preprocesses what the plans need and other plans have not left there already.

    nnU-Net's own preprocessing deletes the folder that it writes to. So a configuration that uses the data of another
    plan is passed over.

    Args:
        dataset_id: The dataset's.
        plans: Its plans file's content.
        configurations: Those that the plans do not have are passed over, as nnU-Net does.
        num_processes: One number for all configurations, or one for each. None: nnU-Net's defaults.
        verbose: As nnU-Net.
        show_progress_bar: As nnU-Net.

    Raises:
        ValueError: `num_processes` has another length.
    """
    processes = list(num_processes or [DEFAULT_PROCESSES.get(name, 4) for name in configurations])
    if len(processes) == 1:
        processes *= len(configurations)
    if len(processes) != len(configurations):
        raise ValueError(
            f"-np must hold one number, or one for each of {' '.join(configurations)}, got {len(processes)} numbers."
            " Give as many."
        )
    manager = PlansManager(plans)
    todo = {}
    for name, number in zip(configurations, processes, strict=True):
        is_planned = name in plans["configurations"]
        identifier = manager.get_configuration(name).data_identifier if is_planned else ""
        if is_planned and not identifier.startswith(f"{plans['plans_name']}_"):
            print(f"Configuration {name}: nothing to do, {identifier} is there.")
        else:
            todo[name] = number
    with _one_line():
        # also without a configuration: nnU-Net copies the reference segmentations here
        preprocess_dataset(dataset_id, plans["plans_name"], list(todo), list(todo.values()), verbose, show_progress_bar)


@contextmanager
def _one_line() -> Iterator[None]:
    """nnU-Net says what is wrong with a dataset in assertions and in several lines; here it is one line."""
    try:
        yield
    except AssertionError as error:
        text = " ".join(str(error).split()) or "one of its assertions failed, --debug shows which"
        raise RuntimeError(f"nnU-Net refuses the dataset: {text}") from error
    except RuntimeError as error:
        raise RuntimeError(" ".join(str(error).split())) from error
