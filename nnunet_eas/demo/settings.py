"""What a demo run consists of. Two sizes: the demo proper, and a quick one that only shows that the way is open."""

from __future__ import annotations

from dataclasses import dataclass

DATASET_ID = 1
NAME = "PhantomKnee"
DATASET_NAME = f"Dataset{DATASET_ID:03d}_{NAME}"
CONFIGURATION = "2d"
FOLD = 0


@dataclass(frozen=True)
class Schedule:
    """Length of a training. ``trainer/demo.py`` makes a trainer of each."""

    epochs: int
    iterations: int
    validation_iterations: int


FULL_SCHEDULE = Schedule(epochs=16, iterations=40, validation_iterations=4)
QUICK_SCHEDULE = Schedule(epochs=2, iterations=3, validation_iterations=1)


@dataclass(frozen=True)
class DemoSettings:
    """Sizes of one demo.

    Attributes:
        seed: Seed of the knees; the training itself draws its own random numbers.
        shape: Voxels of a scan, (z, y, x).
        spacing: mm, (z, y, x). The largest is x's, so that nnU-Net's 2d configuration sees sagittal slices.
        training_knees: Knees that the network learns from.
        validation_knees: Knees that nnU-Net watches while it trains.
        test_knees: Knees that are kept for the end.
        trainer: Class name of the trainer.
        schedule: The trainer's.
        batch_size: Slices per step. nnU-Net plans for a GPU with gigabytes to fill; a CPU wants more steps instead.
    """

    seed: int
    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    training_knees: int
    validation_knees: int
    test_knees: int
    trainer: str
    schedule: Schedule
    batch_size: int

    @classmethod
    def full(cls, seed: int) -> DemoSettings:
        """The demo proper."""
        return cls(
            seed=seed,
            shape=(112, 128, 28),
            spacing=(0.8, 0.84, 3.2),
            training_knees=18,
            validation_knees=2,
            test_knees=3,
            trainer="EASUNetTrainer_demo",
            schedule=FULL_SCHEDULE,
            batch_size=4,
        )

    @classmethod
    def quick(cls, seed: int) -> DemoSettings:
        """As small as nnU-Net bears; its scores mean nothing."""
        return cls(
            seed=seed,
            shape=(48, 56, 10),
            spacing=(1.9, 2.0, 9.0),
            training_knees=2,
            validation_knees=1,
            test_knees=2,
            trainer="EASUNetTrainer_demo_quick",
            schedule=QUICK_SCHEDULE,
            batch_size=4,
        )
