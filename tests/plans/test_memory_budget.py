import math

import pytest

from nnunet_eas.plans import training_memory
from nnunet_eas.plans.memory_budget import RESERVED, MemoryBudget
from nnunet_eas.plans.training_memory import TrainingStep, training_step_memory
from nnunet_eas.plans.translation import translate_architecture

FEATURES = (32, 64, 128, 256, 512, 512, 512)
# patch, strides
SLICES = ((160, 96), [[1, 1]] + [[2, 2]] * 4)
VOLUMES = ((24, 64, 48), [[1, 1, 1], [1, 2, 2], [2, 2, 2], [2, 2, 2]])
TINY = ((20, 12), [[1, 1], [2, 2]])
EVERY_TOPOLOGY = pytest.mark.parametrize("topology", [SLICES, VOLUMES, TINY], ids=["2d", "3d", "two stages"])

CLASSES = {"background": 0, "femur": 1, "femoral_cartilage": 2, "tibia": 3}
REGIONS = {"background": 0, "knee": [1, 2, 3], "cartilage": [2, 3], "tibial_cartilage": 3}


def dataset(labels=CLASSES, channels=1, **more):
    return {"labels": labels, "channel_names": {str(i): "MR" for i in range(channels)}, **more}


@pytest.fixture
def architecture(plain_unet):
    return lambda topology: translate_architecture(plain_unet(*topology, features=FEATURES))


def exact_peak(architecture, patch_size, batch_size, *, input_channels=1, num_outputs=4, **more):
    given = {"patch_size": patch_size, "batch_size": batch_size, "input_channels": input_channels}
    return training_step_memory(architecture, num_outputs=num_outputs, recompute=True, **given, **more).peak


@pytest.mark.parametrize("target_gb", [1, 3, 7.5, 24])
@EVERY_TOPOLOGY
def test_the_batch_fits_by_its_own_count_and_a_larger_one_does_not(architecture, topology, target_gb):
    built, patch = architecture(topology), topology[0]
    samples = MemoryBudget(target_gb, dataset()).samples_that_fit(built, patch)
    cascade = 3 * (len(patch) == 3)
    usable = target_gb * 1e9 * (1 - RESERVED)
    assert samples >= 2
    assert exact_peak(built, patch, samples, input_channels=1 + cascade) <= usable
    assert exact_peak(built, patch, samples + 1, input_channels=1 + cascade) > usable


@EVERY_TOPOLOGY
def test_whether_two_fit_is_exact(architecture, topology):
    built, patch = architecture(topology), topology[0]
    channels = 1 + 3 * (len(patch) == 3)
    needed = exact_peak(built, patch, 2, input_channels=channels) / (1 - RESERVED) / 1e9
    just_enough, just_too_little = (MemoryBudget(needed + byte, dataset()) for byte in (2e-9, -2e-9))
    assert just_enough.samples_that_fit(built, patch) == 2
    assert just_too_little.samples_that_fit(built, patch) < 2


@pytest.mark.parametrize("share", [1.001, 1.05])
def test_two_that_do_not_fit_are_not_granted_after_a_larger_patch(architecture, share):
    # with small patches gradients and the optimiser outweigh the maps
    patch = (80, 64)
    built = architecture((patch, SLICES[1]))
    budget = MemoryBudget(exact_peak(built, patch, 2) / share / (1 - RESERVED) / 1e9, dataset())
    budget.samples_that_fit(architecture(((320, 192), SLICES[1])), (320, 192))
    assert budget.samples_that_fit(built, patch) < 2


def test_one_sample_or_none_where_two_do_not_fit(architecture):
    built, patch = architecture(SLICES), SLICES[0]
    one, two = (exact_peak(built, patch, n) / (1 - RESERVED) / 1e9 for n in (1, 2))
    assert MemoryBudget((one + two) / 2, dataset()).samples_that_fit(built, patch) == 1
    assert MemoryBudget(one / 3, dataset()).samples_that_fit(built, patch) == 0


def test_a_patch_counts_the_same_whatever_was_asked_before(architecture):
    larger, smaller = (320, 192), (80, 64)
    shrinking, growing = MemoryBudget(4, dataset()), MemoryBudget(4, dataset())
    patches = (larger, SLICES[0], smaller)
    first = [shrinking.samples_that_fit(architecture((patch, SLICES[1])), patch) for patch in patches]
    second = [growing.samples_that_fit(architecture((patch, SLICES[1])), patch) for patch in reversed(patches)]
    assert first == second[::-1]
    assert first == sorted(first)


def test_what_least_was_needed_is_remembered(architecture):
    budget = MemoryBudget(0.1, dataset())
    assert budget.least_bytes == math.inf
    for patch in ((320, 192), (80, 64), (160, 96)):
        budget.samples_that_fit(architecture((patch, SLICES[1])), patch)
    smallest = exact_peak(architecture(((80, 64), SLICES[1])), (80, 64), 2)
    assert budget.least_bytes == smallest


def test_a_topology_is_run_once_for_all_patches_batches_and_rates(architecture, monkeypatch):
    runs = []

    class Counting(TrainingStep):
        def __init__(self, *arguments):
            runs.append(arguments)
            super().__init__(*arguments)

    monkeypatch.setattr(training_memory, "TrainingStep", Counting)
    training_memory._training_step.cache_clear()
    budget = MemoryBudget(4, dataset())
    for patch in ((1024, 768), (320, 192), SLICES[0]):
        budget.samples_that_fit(architecture((patch, SLICES[1])), patch)
        budget.step(architecture((patch, SLICES[1])), recompute=True).memory(patch, 7)
    assert len(runs) == 1
    budget.samples_that_fit(architecture(TINY), TINY[0])
    assert len(runs) == 2


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, {"input_channels": 1, "num_outputs": 4}),
        ({"channels": 4}, {"input_channels": 4, "num_outputs": 4}),
        ({"labels": {**CLASSES, "ignore": 4}}, {"input_channels": 1, "num_outputs": 4}),
        (
            {"labels": REGIONS, "regions_class_order": [1, 2, 3]},
            {"input_channels": 1, "num_outputs": 3, "has_regions": True},
        ),
    ],
    ids=["classes", "channels", "ignore", "regions"],
)
@EVERY_TOPOLOGY
def test_a_count_is_of_the_datasets_channels_and_outputs(architecture, topology, more, expected):
    built, patch = architecture(topology), topology[0]
    budget = MemoryBudget(8, dataset(**more))
    if len(patch) == 3:  # a cascade's second stage gets one channel for each of the first one's three structures
        expected = {**expected, "input_channels": expected["input_channels"] + 3}
    for recompute in (False, True):
        assert budget.step(built, recompute=recompute).memory(patch, 2) == training_step_memory(
            built, patch_size=patch, batch_size=2, recompute=recompute, **expected
        )


@EVERY_TOPOLOGY
def test_recomputation_is_needed_where_the_batch_fits_with_it_alone(architecture, topology):
    built, patch = architecture(topology), topology[0]
    budget = MemoryBudget(4, dataset())
    with_it = budget.samples_that_fit(built, patch)
    without = budget.step(built, recompute=False).largest_batch(patch, budget.usable_bytes)
    assert without < with_it
    assert not budget.needs_recompute(built, patch, without)
    assert budget.needs_recompute(built, patch, without + 1)


def test_more_classes_and_channels_leave_fewer_samples(architecture):
    built, patch = architecture(VOLUMES), VOLUMES[0]
    many = {"background": 0, **{f"structure_{i}": i for i in range(1, 60)}}
    datasets = dataset(), dataset(channels=12), dataset(labels=many)
    few, channels, classes = (MemoryBudget(8, d).samples_that_fit(built, patch) for d in datasets)
    assert few > channels > classes >= 2


def test_old_names_for_channels_are_known(architecture):
    old = {"labels": CLASSES, "modality": {"0": "MR", "1": "MR"}}
    built, patch = architecture(TINY), TINY[0]
    steps = [MemoryBudget(1, json).step(built, recompute=False) for json in (old, dataset(channels=2))]
    assert steps[0].memory(patch, 2) == steps[1].memory(patch, 2)
