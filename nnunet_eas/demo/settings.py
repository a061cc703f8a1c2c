"""The two sizes of the demo: a full one, and a quick one that only shows that everything runs."""

from __future__ import annotations

from dataclasses import dataclass

DATASET_ID = 1
NAME = "PhantomKnee"
DATASET_NAME = f"Dataset{DATASET_ID:03d}_{NAME}"
CONFIGURATION = "2d"
FOLD = 0


@dataclass(frozen=True)
class Schedule:
    """Length of a training; ``trainer/schedules.py`` makes a trainer of each."""

    epochs: int
    iterations: int
    validation_iterations: int


FULL_SCHEDULE = Schedule(epochs=8, iterations=24, validation_iterations=2)
QUICK_SCHEDULE = Schedule(epochs=2, iterations=3, validation_iterations=1)


@dataclass(frozen=True)
class DemoSettings:
    """Sizes of one demo, by default of the full one: at most five minutes on two slow cores."""

    seed: int  # of the knees; the training draws its own random numbers
    shape: tuple[int, int, int] = (112, 128, 28)  # voxels of a scan, (z, y, x)
    # mm, (z, y, x); largest along x, so that the slices of nnU-Net's 2d configuration are sagittal
    spacing: tuple[float, float, float] = (0.8, 0.84, 3.2)
    training_knees: int = 12
    validation_knees: int = 2
    test_knees: int = 3  # new patients, whom the scores are computed on
    trainer: str = "EASUNetTrainer_demo"
    schedule: Schedule = FULL_SCHEDULE
    # nnU-Net plans a batch for the memory of a GPU; in minutes on a CPU, more steps with fewer slices learn more
    batch_size: int = 4

    @classmethod
    def quick(cls, seed: int) -> DemoSettings:
        """The smallest demo of which nnU-Net can make five folds; its scores mean nothing."""
        return cls(
            seed,
            shape=(48, 56, 10),
            spacing=(1.9, 2.0, 9.0),
            training_knees=4,
            validation_knees=1,
            test_knees=2,
            trainer="EASUNetTrainer_demo_quick",
            schedule=QUICK_SCHEDULE,
        )
