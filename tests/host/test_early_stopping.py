"""EASUNetTrainer_earlystop: when it ends, which files it leaves, and that a resumed run changes nothing."""

import re

import pytest
import torch

from nnunet_eas.trainer.schedules import epochs_without_gain


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], 0),
        ([0.5], 0),
        ([0.5, 0.5, 0.5], 2),
        ([0.5, 0.6, 0.7], 0),
        ([0.5, 0.505, 0.509], 2),  # below the least gain above the best that counted
        ([0.5, 0.505, 0.511], 0),  # small steps add up
        ([0.7, 0.6, 0.65], 2),
        ([0.7, float("nan"), 0.8], 0),
    ],
)
def test_epochs_without_gain(values, expected):
    assert epochs_without_gain(values, 0.01) == expected


@pytest.mark.slow
def test_a_training_that_flattened_is_complete_and_is_not_continued(blobs):
    command = blobs.train("2d", 1, trainer="EASUNetTrainer_flat")
    fold = blobs.model("2d", "EASUNetTrainer_flat") / "fold_1"
    first = blobs.host.run(*command)
    assert re.findall(r": Epoch (\d+)\s*$", first.stdout, re.MULTILINE) == ["0", "1", "2"]
    assert "stopped early" in first.stdout
    final = torch.load(fold / "checkpoint_final.pth", weights_only=False)
    assert final["current_epoch"] == 3
    assert (fold / "validation" / "summary.json").is_file()
    again = blobs.host.run(*command, "--c")
    assert re.findall(r": Epoch (\d+)\s*$", again.stdout, re.MULTILINE) == []
    assert "Validation complete" in again.stdout
    assert torch.load(fold / "checkpoint_final.pth", weights_only=False)["current_epoch"] == 3
