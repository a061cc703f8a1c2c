"""nnU-Net's steps before a training, with EASUNetPlanner as the planner."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from nnunetv2.experiment_planning.plan_and_preprocess_api import extract_fingerprint_dataset, preprocess_dataset
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from nnunet_eas.plans.planner import CONFIGURATIONS, EASUNetPlanner
from nnunet_eas.support.datasets import check_folders, dataset_name

PROCESSES = {"2d": 8, "3d_fullres": 4, "3d_lowres": 8}  # nnU-Net's defaults; 4 for any other configuration


def check_datasets(*dataset_ids: int) -> None:
    """Raises an error where one of the datasets is not there, or nnU-Net does not know where to look."""
    check_folders("nnUNet_raw", "nnUNet_preprocessed")
    for dataset_id in dataset_ids:
        dataset_name(dataset_id)


def plan_experiment(dataset_id: int, *, configurations: Sequence[str] = (), **arguments: Any) -> dict[str, Any]:
    """Plans a dataset with EASUNetPlanner, writes the plans file and returns its content.

    The plans must know `configurations`, which is checked before anything is written; `arguments` are EASUNetPlanner's.
    """
    check_datasets(dataset_id)
    with _error_in_one_line():
        planner = EASUNetPlanner(dataset_id, **arguments)
        planner.requested_configurations = configurations
        return planner.plan_experiment()


def plan_and_preprocess(
    dataset_ids: Sequence[int],
    *,
    configurations: Sequence[str] | None = None,
    num_processes: Sequence[int] | None = None,
    num_processes_fingerprint: int = 8,
    verify_dataset_integrity: bool = False,
    clean: bool = False,
    no_preprocessing: bool = False,
    verbose: bool = False,
    show_progress_bar: bool = True,
    **planning: Any,
) -> None:
    """Extracts fingerprints, plans and preprocesses, as nnUNetv2_plan_and_preprocess and with its arguments.

    All datasets are checked before the first one is processed. `configurations` None is 2d, 3d_fullres and 3d_lowres;
    `num_processes` is one number for all, or one for each, None for nnU-Net's defaults; `planning` are keyword
    arguments of `plan_experiment`.
    """
    for name, numbers in (
        ("num_processes (-np)", num_processes or [1]),
        ("num_processes_fingerprint (-npfp)", [num_processes_fingerprint]),
    ):
        if min(numbers) < 1:
            raise ValueError(f"{name} must be at least 1, got {min(numbers)}. Give a number of processes.")
    check_datasets(*dataset_ids)
    shown = {"verbose": verbose, "show_progress_bar": show_progress_bar}
    for dataset_id in dataset_ids:
        print("Fingerprint extraction...")
        with _error_in_one_line():
            extract_fingerprint_dataset(
                dataset_id,
                num_processes=num_processes_fingerprint,
                check_dataset_integrity=verify_dataset_integrity,
                clean=clean,
                **shown,
            )
        print("Experiment planning...")
        plans = plan_experiment(dataset_id, configurations=configurations or (), **planning)
        if not no_preprocessing:
            print("Preprocessing...")
            preprocess(dataset_id, plans, configurations=configurations, num_processes=num_processes, **shown)


def preprocess(
    dataset_id: int,
    plans: dict[str, Any],
    *,
    configurations: Sequence[str] | None = None,
    num_processes: Sequence[int] | None = None,
    **shown: bool,
) -> None:
    """Preprocesses a dataset, except for configurations that reuse the data of other plans.

    nnU-Net's own preprocessing would delete the folder of those data and write it anew. `plans` is the content of the
    plans file; the other arguments are those of `plan_and_preprocess`.
    """
    configurations = configurations or CONFIGURATIONS[:3]
    processes = list(num_processes or [PROCESSES.get(name, 4) for name in configurations])
    if len(processes) == 1:
        processes *= len(configurations)
    if len(processes) != len(configurations):
        raise ValueError(
            f"num_processes (-np) must hold one number, or one for each of {' '.join(configurations)}, got "
            f"{len(processes)} numbers. Give as many."
        )
    manager = PlansManager(plans)
    todo = {}
    for name, number in zip(configurations, processes, strict=True):
        is_planned = name in plans["configurations"]
        identifier = manager.get_configuration(name).data_identifier if is_planned else ""
        if is_planned and not identifier.startswith(f"{plans['plans_name']}_"):
            print(f"Configuration {name}: nothing to do, the data {identifier} are reused.")
        else:
            todo[name] = number
    with _error_in_one_line():
        # also without a configuration: nnU-Net copies the reference segmentations here
        preprocess_dataset(dataset_id, plans["plans_name"], list(todo), list(todo.values()), **shown)


@contextmanager
def _error_in_one_line() -> Iterator[None]:
    """Turns nnU-Net's assertions and errors of several lines into a RuntimeError of one line."""
    try:
        yield
    except AssertionError as error:
        text = " ".join(str(error).split()) or "one of its assertions failed, --debug shows which"
        raise RuntimeError(f"nnU-Net refuses the dataset: {text}") from error
    except RuntimeError as error:
        raise RuntimeError(" ".join(str(error).split())) from error
