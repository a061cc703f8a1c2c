"""Kinds of data and plans beside the usual: regions, an ignore label, a cascade, photographs, a plan of two stages."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from tiny_dataset import agreement, read_labels, write_photographs, write_scans

pytestmark = pytest.mark.slow

TRAINER = "EASUNetTrainer_tiny"
RESIDUAL_PLANS = "nnUNetResEncUNetMPlans"


def read_json(path):
    return json.loads(path.read_text(encoding="utf-8"))


def weights(fold):
    return torch.load(fold / "checkpoint_final.pth", map_location="cpu", weights_only=False)["network_weights"]


def predict_unseen(host, model, target):
    """Predict the cases that fold 0 validated on, and return pairs of (prediction, the training's own)."""
    dataset = model.parent.name
    validated = sorted(p for p in (model / "fold_0" / "validation").iterdir() if p.name.startswith("blob"))
    images = target / "images"
    images.mkdir(parents=True)
    for path in validated:
        scan = path.name.replace(".", "_0000.", 1)
        (images / scan).symlink_to(host.raw / dataset / "imagesTr" / scan)
    trainer, plans, configuration = model.name.split("__")
    what = ("-d", dataset, "-c", configuration, "-tr", trainer, "-p", plans, "-f", 0)
    host.run("nnUNetv2_predict", "-i", images, "-o", target, *what, "-device", "cpu")
    assert validated
    return [(target / path.name, path) for path in validated]


def train_regions(host):
    """MetaImages with nested regions, the last slices not annotated."""
    dataset = write_scans(
        host.raw / "Dataset902_Regions",
        labels={"background": 0, "whole": [1, 2], "core": 1, "ignore": 3},
        file_ending=".mha",
        ignored_slices=3,
        regions_class_order=[2, 1],  # paint the whole as shell, then the core over it
    )
    host.plan_and_preprocess(dataset, ["2d"])
    host.run("nnUNetv2_train", "902", "2d", 0, "-tr", TRAINER, "-device", "cpu")
    return host.model(dataset.name, TRAINER, "nnUNetPlans", "2d")


def train_photographs(host):
    """PNG images so small that their residual plan has two stages."""
    dataset = write_photographs(host.raw / "Dataset903_Photographs", shape=(12, 14))
    host.plan_and_preprocess(dataset, ["2d"], "-pl", "nnUNetPlannerResEncM")
    host.run("nnUNetv2_train", "903", "2d", 0, "-tr", TRAINER, "-p", RESIDUAL_PLANS, "-device", "cpu")
    return host.model(dataset.name, TRAINER, RESIDUAL_PLANS, "2d")


@pytest.fixture(scope="module")
def models(host):
    """The trained models of the two data sets, made side by side."""
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(("regions", "photographs"), pool.map(lambda f: f(host), (train_regions, train_photographs))))


@pytest.fixture(scope="module")
def regions(models):
    return models["regions"]


def test_regions_and_ignore_label(host, regions, tmp_path):
    fold = regions / "fold_0"
    loss = read_json(fold / "debug.json")["loss"]
    assert "DC_and_BCE_loss" in loss
    assert weights(fold)["decoder.seg_layers.heads.0.weight"].shape[0] == 2  # one per region, none for the ignored
    assert set(read_json(fold / "validation" / "summary.json")["mean"]) == {"(1, 2)", "1"}
    for predicted, validated in predict_unseen(host, regions, tmp_path / "predicted"):
        assert agreement(predicted, validated) >= 0.9999
        assert set(read_labels(predicted).ravel()) <= {0, 1, 2}
        assert read_labels(predicted).any()


def test_pretrained_weights_of_another_number_of_classes(blobs, regions):
    """Two regions there, three classes here; the trainer's learning rate is 0, so what was loaded is what remains."""
    pretrained = regions / "fold_0"
    trainer = "EASUNetTrainer_standstill"
    more = ("-pretrained_weights", pretrained / "checkpoint_final.pth")
    blobs.host.run(*blobs.train("2d", 0, *more, trainer=trainer))

    source = weights(pretrained)
    result = weights(blobs.model("2d", trainer) / "fold_0")
    assert source.keys() == result.keys()
    of_classes = {key for key in source if ".seg_layers." in key}
    assert {key for key in source if source[key].shape != result[key].shape} == of_classes
    # the statistics of batch norm are no weights: they follow the data
    learned = [key for key in source if key not in of_classes and "running_" not in key and "num_batches" not in key]
    assert len(learned) > 50
    for key in learned:
        torch.testing.assert_close(result[key], source[key], rtol=0, atol=0)


def test_cascade(blobs, tmp_path):
    host, plans_name = blobs.host, "CascadePlans"
    plans = json.loads(blobs.plans)
    full = plans["configurations"]["3d_fullres"]
    # as nnU-Net's planner writes it where images are large
    low = {**full, "spacing": [1.25 * s for s in full["spacing"]], "data_identifier": f"{plans_name}_3d_lowres"}
    plans["configurations"]["3d_lowres"] = {**low, "next_stage": "3d_cascade_fullres"}
    plans["configurations"]["3d_cascade_fullres"] = {"inherits_from": "3d_fullres", "previous_stage": "3d_lowres"}
    plans["plans_name"] = plans_name
    (blobs.preprocessed / f"{plans_name}.json").write_text(json.dumps(plans), encoding="utf-8")
    host.run("nnUNetv2_preprocess", "-d", blobs.id, "-plans_name", plans_name, "-c", "3d_lowres", "-np", 1)

    # fold "all" predicts every case for the next stage
    host.run(*blobs.train("3d_lowres", "all", "-p", plans_name))
    first = blobs.model("3d_lowres", plans=plans_name)
    handed_on = {p.name.split(".")[0] for p in (first / "predicted_next_stage" / "3d_cascade_fullres").iterdir()}
    assert handed_on == set(blobs.cases)
    host.run(*blobs.train("3d_cascade_fullres", 0, "-p", plans_name))

    second = blobs.model("3d_cascade_fullres", plans=plans_name)
    saved = read_json(second / "plans.json")["configurations"]
    assert saved["3d_cascade_fullres"]["previous_stage"] == "3d_lowres"
    assert {c["architecture"]["network_class_name"].split(".")[-1] for c in saved.values()} == {"EASUNet"}
    stem = weights(second / "fold_0")["encoder.stages.0.0.conv.weight"]
    assert stem.shape[1] == 1 + 2  # the scan, and the first stage's two structures

    stage_1 = first / "fold_all" / "validation"
    more = ("-p", plans_name, "-f", 0, "-prev_stage_predictions", stage_1)
    host.run(*blobs.predict(blobs.images_of_fold(0), tmp_path, "3d_cascade_fullres", *more))
    # nearly equal only: the validation got the first stage's probabilities resampled, the prediction its labels
    name = f"{blobs.cases[0]}.nii.gz"
    assert agreement(tmp_path / name, second / "fold_0" / "validation" / name) >= 0.98
    assert read_labels(tmp_path / name).any()


def test_photographs_from_a_residual_plan_of_two_stages(host, models, tmp_path):
    model = models["photographs"]
    plan = host.preprocessed / model.parent.name / f"{RESIDUAL_PLANS}.json"
    planned = read_json(plan)["configurations"]["2d"]["architecture"]
    assert planned["network_class_name"].endswith("ResidualEncoderUNet")
    assert planned["arch_kwargs"]["n_stages"] == 2

    arguments = read_json(model / "plans.json")["configurations"]["2d"]["architecture"]["arch_kwargs"]
    assert arguments["n_conv_per_stage"] == [2, 2]
    assert arguments["n_conv_per_stage_decoder"] == [2]
    debug = read_json(model / "fold_0" / "debug.json")
    assert debug["enable_deep_supervision"] == "False"
    assert "DeepSupervisionWrapper" not in debug["loss"]
    assert weights(model / "fold_0")["encoder.stages.0.0.conv.weight"].shape[1] == 3
    for predicted, validated in predict_unseen(host, model, tmp_path / "predicted"):
        assert agreement(predicted, validated) >= 0.9999
        assert read_labels(predicted).any()
