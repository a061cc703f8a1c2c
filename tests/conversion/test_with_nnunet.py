"""nnU-Net's own commands on what was converted."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from archives import SMALL, archive_options
from phantom_defects import write_archive

pytestmark = pytest.mark.slow


def plan_and_preprocess(folder, number, *more):
    variables = {f"nnUNet_{part}": str(folder / part) for part in ("raw", "preprocessed", "results")}
    command = [Path(sys.executable).parent / "nnUNetv2_plan_and_preprocess", "-d", str(number), "-c", "2d", *more]
    return subprocess.run(
        [*command, "--verify_dataset_integrity", "-np", "1", "-npfp", "1"],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("options", "folds", "more"),
    [
        ([], None, []),
        (["--labels", "cartilage-and-bone", "--regions", "--split", "two-fold"], 2, ["--no_pp"]),  # saves time
        (["--slices"], 5, ["--no_pp"]),
    ],
)
def test_a_converted_dataset_passes_and_its_split_is_taken(tmp_path, convert, options, folds, more):
    archive = write_archive(tmp_path / "a", cases=6, flips=[(True, False, False), (False, True, True)], **SMALL)
    assert convert(*archive_options(archive, tmp_path / "raw"), *options)[0] == 0
    done = plan_and_preprocess(tmp_path, 500, *more)
    assert done.returncode == 0, done.stdout + done.stderr
    preprocessed = tmp_path / "preprocessed" / "Dataset500_OAIZIB"
    plans = json.loads((preprocessed / "nnUNetPlans.json").read_text())
    # slices are sagittal: z and y
    assert plans["configurations"]["2d"]["median_image_size_in_voxels"] == [20.0, 26.0]
    split = preprocessed / "splits_final.json"
    assert (len(json.loads(split.read_text())) if split.is_file() else None) == folds
