"""Cross-validation of a dataset's configurations: all folds, then the best configuration."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nnunet_eas.crossval.best import Best, find_best
from nnunet_eas.crossval.dataset import Dataset, check_cases, folds_of, stages_of
from nnunet_eas.crossval.executors import Executor
from nnunet_eas.crossval.fold import LOG, Fold
from nnunet_eas.crossval.train_all import train_all
from nnunet_eas.crossval.training import Training
from nnunet_eas.support.errors import PartialSuccess


def cross_validate(
    dataset: Dataset,
    configurations: Sequence[str],
    executor: Callable[[], Executor],
    *,
    trainer: str = "EASUNetTrainer",
    plans: str = "nnUNetPlans",
    folds: Sequence[int] | None = None,
    device: str,
    attempts: int = 3,
    say: Callable[[str], None] = lambda line: None,
) -> Best:
    """Trains every fold that is not trained yet, and lets nnU-Net find the best configuration or ensemble.

    Args:
        dataset: Its folders.
        configurations: 2d, 3d_fullres, ...
        executor: Makes what runs the trainings; called once the other arguments are known to be right.
        trainer: The trainer's class name.
        plans: The plans' name.
        folds: Numbers of folds; None for all of the split file.
        device: nnU-Net's -device.
        attempts: How often a fold may fail; then the others of its stage are trained, and `PartialSuccess` is raised.
        say: Gets a line for everything that happens.
    """
    assert dataset.preprocessed is not None
    stages = stages_of(dataset.preprocessed, plans, configurations)
    check_cases(dataset.preprocessed)
    numbers = folds_of(dataset.preprocessed, folds)

    def fold(configuration: str, number: int) -> Fold:
        return Fold(dataset.name, configuration, trainer, plans, number, dataset.results_root)

    runs_them = executor()
    pointed = False
    for stage in stages:
        trainings = [
            Training(fold(name, number), device, len(configurations) > 1, runs_them.threads)
            for name in stage
            for number in numbers
        ]
        done = sum(training.is_done() for training in trainings)
        say(f"{len(trainings)} trainings of {' and '.join(stage)}, {done} of them done")
        if done < len(trainings) and not pointed:
            pointed = True
            say(f"logs: {LOG} in each fold's folder, {fold('CONFIGURATION', 0).folder.with_name('fold_X')}")
            say(f"progress: nnunet-eas status -d {dataset.name} -tr {trainer}")
        if failed := train_all(trainings, runs_them, attempts, say):
            raise PartialSuccess(
                f"all folds must be trained before the best configuration is found, got {len(failed)} that failed: "
                f"{', '.join(map(str, failed))}. Fix the named faults and run the same command again.",
                [training.fold for training in trainings if training.is_done()],
                {str(of): error for of, error in failed.items()},
            )
    return find_best([fold(name, number) for stage in stages for name in stage for number in numbers])
