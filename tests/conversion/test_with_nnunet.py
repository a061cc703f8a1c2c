"""nnU-Net's own command on what was converted."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from archives import SMALL, archive_options
from phantom_defects import write_archive

pytestmark = pytest.mark.slow

# by dataset id: the options of convert, and the folds of the split that comes with them
CONVERTED = {
    500: ([], None),
    501: (["--labels", "cartilage-and-bone", "--regions", "--split", "two-fold"], 2),
    502: (["--slices"], 5),
}


def test_converted_datasets_pass_and_their_split_is_taken(tmp_path, convert):
    archive = write_archive(tmp_path / "a", cases=6, flips=[(True, False, False), (False, True, True)], **SMALL)
    for number, (options, _) in CONVERTED.items():
        assert convert(*archive_options(archive, tmp_path / "raw"), "-d", number, *options)[0] == 0

    command = [Path(sys.executable).parent / "nnUNetv2_plan_and_preprocess", "-d", *map(str, CONVERTED), "-c", "2d"]
    done = subprocess.run(
        [*command, "--verify_dataset_integrity", "-np", "1", "-npfp", "1"],
        env={**os.environ, **{f"nnUNet_{part}": str(tmp_path / part) for part in ("raw", "preprocessed", "results")}},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for number, (_, folds) in CONVERTED.items():
        (preprocessed,) = (tmp_path / "preprocessed").glob(f"Dataset{number}_*")
        plans = json.loads((preprocessed / "nnUNetPlans.json").read_text())
        # slices are sagittal: z and y
        assert plans["configurations"]["2d"]["median_image_size_in_voxels"] == [20.0, 26.0]
        assert list((preprocessed / "nnUNetPlans_2d").glob("*.pkl"))
        split = preprocessed / "splits_final.json"
        assert (len(json.loads(split.read_text())) if split.is_file() else None) == folds
