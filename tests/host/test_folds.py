"""All folds of two configurations: the best one found, and what nnU-Net then tells the user to type."""

import shlex

import numpy as np
import pytest
import SimpleITK as sitk
from tiny_dataset import read_labels

pytestmark = pytest.mark.slow

FOLDS = (0, 1)  # of the three: a training takes half a minute


@pytest.fixture(scope="module")
def crossval(fold_0):
    """What the command said, which trained all but fold 0: that was there."""
    options = ("-c", *fold_0.configurations, "-tr", fold_0.trainer, "-device", "cpu", "--workers", 2, "--folds", *FOLDS)
    return fold_0.host.run("nnunet-eas", "crossval", "-d", fold_0.id, *options)


@pytest.fixture(scope="module")
def all_folds(fold_0, crossval):
    return fold_0


def replaced(command, **values):
    """The command with the values of some of its options replaced."""
    command = list(command)
    for option, value in values.items():
        command[command.index(f"-{option}") + 1] = str(value)
    return command


def test_crossval_trains_what_is_missing_once(all_folds, crossval):
    lines = crossval.stdout.splitlines()
    assert lines[0] == "4 trainings of 2d and 3d_fullres, 2 of them done"
    for configuration in all_folds.configurations:
        for fold in FOLDS:
            assert len(list((all_folds.model(configuration) / f"fold_{fold}").glob("training_log_*.txt"))) == 1
            assert (f"{configuration} fold {fold}: trained" in lines) == (fold > 0)
    assert lines[-1] == f"predict with: nnunet-eas predict-best -d {all_folds.id} -i SCANS -o MASKS"
    again = all_folds.host.run(*crossval.args)
    assert again.stdout.splitlines()[0] == "4 trainings of 2d and 3d_fullres, 4 of them done"
    assert again.stdout.splitlines()[1:] == lines[-2:]


def test_status_shows_every_fold(all_folds):
    of = ("-d", all_folds.id, "-tr", all_folds.trainer, "-p", "nnUNetPlans")  # another file's tests train other plans
    shown = all_folds.host.run("nnunet-eas", "status", *of, "--png", "x.png")
    rows = [line.split() for line in shown.stdout.splitlines()[1:7]]
    assert [row[:4] for row in rows] == [
        [all_folds.model(c).name, str(fold), *(("trained", "2/2") if fold in FOLDS else ("waiting", "-"))]
        for c in all_folds.configurations
        for fold in range(all_folds.folds)
    ]
    assert (all_folds.host.folder / "x.png").stat().st_size > 10_000


def test_predict_best_is_the_commands_by_hand_and_postprocessing(all_folds, tmp_path):
    blobs, host = all_folds, all_folds.host
    command = ("nnUNetv2_find_best_configuration", blobs.id, "-tr", blobs.trainer, "-c", *blobs.configurations)
    completed = host.run(*command, "-f", *FOLDS, "-np", 1)
    results = host.results / blobs.name
    (ensemble,) = (results / "ensembles").iterdir()
    names = [*[blobs.model(c).name for c in blobs.configurations], ensemble.name]
    scores = {name: float(completed.stdout.split(f"\n{name}: ")[1].split()[0]) for name in names}
    assert max(scores.values()) > 0.5
    for folder in [*[blobs.model(c) / "crossval_results_folds_0_1" for c in blobs.configurations], ensemble]:
        assert {p.name for p in folder.glob("*.nii.gz")} == {f"{case}.nii.gz" for case in blobs.cases[: len(FOLDS)]}

    # The instructions as printed. They are for the winner; which one that is, chance decides on data like these.
    printed = (results / "inference_instructions.txt").read_text(encoding="utf-8")
    typed = [shlex.split(line) for line in printed.splitlines() if line.startswith("nnUNetv2_")]
    predict = {c[c.index("-c") + 1]: c for c in typed if c[0] == "nnUNetv2_predict"}
    (postprocess,) = [c for c in typed if c[0] == "nnUNetv2_apply_postprocessing"]
    ensemble_won = any(c[0] == "nnUNetv2_ensemble" for c in typed)
    assert set(predict) == set(blobs.configurations) if ensemble_won else len(predict) == 1

    images = host.raw / blobs.name / "imagesTr"
    members = {c: tmp_path / c for c in blobs.configurations}
    some = next(iter(predict.values()))
    for configuration, folder in members.items():
        command = replaced(predict.get(configuration, some), i=images, o=folder, c=configuration)
        # an ensemble needs the probabilities, which a single winner's command does not write
        predict[configuration] = [*command, *{"--save_probabilities"}.difference(command), "-device", "cpu"]
    host.run_together(*predict.values())
    host.run("nnUNetv2_ensemble", "-i", *members.values(), "-o", tmp_path / "ensemble", "-np", 1)
    for case in blobs.cases:
        mean = np.mean([np.load(folder / f"{case}.npz")["probabilities"] for folder in members.values()], axis=0)
        found = read_labels(tmp_path / "ensemble" / f"{case}.nii.gz")
        assert np.mean(found == mean.argmax(axis=0)) >= 0.9999
        assert found.any()

    winner = tmp_path / "ensemble" if ensemble_won else members[some[some.index("-c") + 1]]
    host.run(*replaced(postprocess, i=winner, o=tmp_path / "postprocessed"))
    for case in blobs.cases:
        scan, labels = (images / f"{case}_0000.nii.gz", tmp_path / "postprocessed" / f"{case}.nii.gz")
        assert sitk.ReadImage(str(scan)).GetSize() == sitk.ReadImage(str(labels)).GetSize()
        # postprocessing removes, it never adds
        before, after = read_labels(winner / f"{case}.nii.gz"), read_labels(labels)
        assert np.all((after == before) | (after == 0))

    out = tmp_path / "best"
    host.run("nnunet-eas", "predict-best", "-d", blobs.id, "-i", images, "-o", out, "-device", "cpu")
    assert sorted(p.name for p in out.iterdir()) == sorted(
        ["dataset.json", *[f"{case}.nii.gz" for case in blobs.cases]]
    )
    for case in blobs.cases:
        np.testing.assert_array_equal(
            read_labels(out / f"{case}.nii.gz"), read_labels(tmp_path / "postprocessed" / f"{case}.nii.gz")
        )
