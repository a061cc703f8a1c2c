"""A draw of damaged files under commands; `benchmarks.checks.faults` makes the full count."""

import shutil

import numpy as np
import pytest

from benchmarks.checks import damaged_calls, damaged_inputs
from benchmarks.checks.damage import BYTES, SCANS, damage_archive, damage_json
from benchmarks.checks.fault_bench import SHAPE, SPACING, FaultBench, write_image
from nnunet_eas.phantom import LABELS, knee
from nnunet_eas.support.files import write_json


@pytest.fixture(scope="module")
def bench(tmp_path_factory) -> FaultBench:
    """Masks and a dataset.json alone: what needs no model."""
    bench = FaultBench(tmp_path_factory.mktemp("bench"))
    for folder in (bench.work / "truth", bench.raw, bench.work / "logs"):
        folder.mkdir(parents=True)
    masks = [knee(seed=seed, shape=SHAPE, spacing=SPACING).segmentation for seed in range(2)]
    for number, case in enumerate(bench.cases):
        write_image(masks[number % 2], bench.work / "truth" / f"{case}.nii.gz")
    content = {"channel_names": {"0": "MR"}, "labels": LABELS, "numTraining": 2, "file_ending": ".nii.gz"}
    write_json(bench.raw / "dataset.json", content)
    return bench


@pytest.mark.parametrize("scene", ["masks_to_evaluate", "masks_to_quantify", "structures"])
def test_every_damaged_file_is_named_and_the_others_are_processed(bench, scene):
    outcome = damaged_inputs.play(bench, scene, np.random.default_rng(3))
    assert outcome.faults == [], outcome.lines


def test_a_call_that_names_nothing_does_not_pass(bench, tmp_path):
    call = damaged_calls.Call(["inspect", "x"], {"knee_00": "empty"}, {"knee_00": tmp_path / "no.nii.gz"})
    call.good = lambda: "no knee_11.nii.gz"
    (tmp_path / ".partial").mkdir()
    faults, sound = damaged_inputs.judge(call, 1, ["Traceback (most recent call last):"], tmp_path, set())
    assert faults == [
        "traceback",
        "knee_00: neither an output nor a line",
        "status 1, and no damaged file is named",
        "no knee_11.nii.gz",
    ]
    assert sound == 1


def test_the_shares_are_of_all_scenes():
    scenes = {name for name in vars(damaged_calls.Scenes) if not name.startswith("_")}
    assert set(damaged_calls.SHARES) == scenes
    assert sum(damaged_calls.SHARES.values()) >= 1


@pytest.mark.parametrize("how", sorted({**BYTES, **SCANS}))
def test_damage_changes_a_file(tmp_path, how):
    file = tmp_path / "a.nii.gz"
    write_image(np.arange(60, dtype=np.int16).reshape(3, 4, 5), file)
    before = file.read_bytes()
    {**BYTES, **SCANS}[how](np.random.default_rng(0), file)
    assert file.read_bytes() != before


@pytest.mark.parametrize("seed", range(8))
def test_damage_changes_archives_and_json(tmp_path, seed):
    file = tmp_path / "a.json"
    write_json(file, {"a": [1, {"b": "c"}]})
    archive = shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path, "a.json")
    for path, damage in ((tmp_path / "packed.zip", damage_archive), (file, damage_json)):
        before = path.read_bytes()
        damage(np.random.default_rng(seed), path)
        assert path.read_bytes() != before
    assert archive.endswith("packed.zip")
