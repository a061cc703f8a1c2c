"""Trained folds of two configurations: predicted, handed on, and the best configuration found and typed as told."""

import json
import shlex
import zipfile

import numpy as np
import pytest
import SimpleITK as sitk
from tiny_dataset import agreement, read_labels

from nnunet_eas.plans.translation import NETWORK_CLASS_NAME, translate_plans

pytestmark = pytest.mark.slow

UNSEEN = "blob_000.nii.gz"  # what fold 0 validates on
FOLDS = (0, 1)  # of the three: a training takes half a minute

PREDICT_ARRAY = """
import sys
import numpy as np, SimpleITK as sitk, torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

model, image, target = sys.argv[1:]
predictor = nnUNetPredictor(device=torch.device("cpu"), perform_everything_on_device=False, allow_tqdm=False)
predictor.initialize_from_trained_model_folder(model, use_folds=(0,))
image = sitk.ReadImage(image)
array = sitk.GetArrayFromImage(image)[None]
np.save(target, predictor.predict_single_npy_array(array, {"spacing": image.GetSpacing()[::-1]}))
print(type(predictor.network).__module__)
"""


@pytest.mark.parametrize("configuration", ["2d", "3d_fullres"])
def test_prediction_equals_the_trainings_own_validation(fold_0, predictions, configuration):
    predicted = predictions[configuration] / UNSEEN
    assert agreement(predicted, fold_0.model(configuration) / "fold_0" / "validation" / UNSEEN) >= 0.9999
    truth = read_labels(fold_0.host.raw / fold_0.name / "labelsTr" / UNSEEN)
    found = read_labels(predicted)
    assert 2 * np.sum((truth > 0) & (found > 0)) / (np.sum(truth > 0) + np.sum(found > 0)) > 0.5


@pytest.mark.parametrize("configuration", ["2d", "3d_fullres"])
def test_prediction_has_the_scans_geometry(fold_0, predictions, configuration):
    scan = sitk.ReadImage(str(fold_0.images_of_fold(0) / "blob_000_0000.nii.gz"))
    predicted = sitk.ReadImage(str(predictions[configuration] / UNSEEN))
    assert predicted.GetSize() == scan.GetSize()
    for which in ("GetSpacing", "GetOrigin", "GetDirection"):
        np.testing.assert_allclose(getattr(predicted, which)(), getattr(scan, which)(), atol=1e-5)


@pytest.mark.parametrize("configuration", ["2d", "3d_fullres"])
def test_plan_beside_the_model_names_the_network_in_every_configuration(fold_0, configuration):
    saved = json.loads((fold_0.model(configuration) / "plans.json").read_text(encoding="utf-8"))
    expected = json.loads(json.dumps(translate_plans(json.loads(fold_0.plans))))
    assert set(saved["configurations"]) == set(fold_0.configurations)
    for name, content in saved["configurations"].items():
        assert content["architecture"] == expected["configurations"][name]["architecture"]
        assert content["architecture"]["network_class_name"] == NETWORK_CLASS_NAME
        assert content["architecture"]["arch_kwargs"]["dilations"], "the rates are part of what is recorded"


def test_preprocessed_plan_is_untouched(fold_0):
    assert (fold_0.preprocessed / "nnUNetPlans.json").read_text(encoding="utf-8") == fold_0.plans
    assert NETWORK_CLASS_NAME not in fold_0.plans


def test_model_travels_as_a_zip_file(fold_0, predictions, tmp_path):
    host, archive, elsewhere = fold_0.host, tmp_path / "model.zip", tmp_path / "results elsewhere"
    elsewhere.mkdir()
    command = ["nnUNetv2_export_model_to_zip", "-d", fold_0.id, "-o", archive, "-tr", fold_0.trainer]
    host.run(*command, "-c", "2d", "-f", 0)
    assert (
        f"{fold_0.model('2d').relative_to(host.results).as_posix()}/plans.json" in zipfile.ZipFile(archive).namelist()
    )
    host.run("nnUNetv2_install_pretrained_model_from_zip", archive, nnUNet_results=elsewhere)

    # as on another machine: there is nothing of the training
    others = {"nnUNet_results": elsewhere, "nnUNet_raw": None, "nnUNet_preprocessed": None}
    command = fold_0.predict(fold_0.images_of_fold(0), tmp_path / "predicted", "2d", "-f", 0)
    host.run(*[fold_0.name if part == fold_0.id else part for part in command], **others)
    assert agreement(tmp_path / "predicted" / UNSEEN, predictions["2d"] / UNSEEN) == 1


def test_predictor_takes_a_numpy_image(fold_0, predictions, tmp_path):
    scan = fold_0.images_of_fold(0) / "blob_000_0000.nii.gz"
    script = ("python", "-c", PREDICT_ARRAY, fold_0.model("3d_fullres"), scan, tmp_path / "labels.npy")
    completed = fold_0.host.run(*script)
    assert completed.stdout.splitlines()[-1] == "nnunet_eas.network.eas_unet"
    expected = read_labels(predictions["3d_fullres"] / UNSEEN)
    assert expected.any()
    np.testing.assert_array_equal(np.load(tmp_path / "labels.npy"), expected)


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
