"""Train, predict, hand the model on: through nnU-Net's commands and its Python interface."""

import json
import zipfile

import numpy as np
import pytest
import SimpleITK as sitk
from tiny_dataset import agreement, read_labels

from nnunet_eas.plans.translation import NETWORK_CLASS_NAME, translate_plans

pytestmark = pytest.mark.slow

UNSEEN = "blob_000.nii.gz"  # what fold 0 validates on

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
