import json

from reporting.model_folders import DEBUG

from nnunet_eas.reporting.model import read_models
from nnunet_eas.reporting.page import TEMPLATES
from nnunet_eas.reporting.settings import compared, settings
from nnunet_eas.reporting.training_log import read_curve


def of(folder):
    (model,) = read_models([folder], None)
    return settings(model, {fold.name: read_curve(fold) for fold in model.folds})


def test_what_is_told(models):
    told = of(models[0])
    assert told == {
        "trainer": "EASUNetTrainer",
        "plans": "nnUNetPlans",
        "configuration": "2d",
        "folds": "0, 1",
        "epochs trained, per fold": "3, 3",
        "median time of an epoch, s": "2.5",
        "patch size": "8 × 10",
        "batch size": "7",
        "network in the plan": "nnunet_eas.network.eas_unet.EASUNet",
        "network: n_stages": "3",
        "network: kernel_sizes": "3 × 3, 3 × 3, 3 × 3",
        "network: dropout_op": "none",
        "network: eas_module": "True",
        "epochs planned": "3",
        "network as built": "EASUNet",
        "GPU": "NVIDIA H200",
        "PyTorch": "2.8.0",
    }


def test_folds_that_differ_and_files_that_are_not_there(models):
    debug = models[0] / "fold_1" / "debug.json"
    debug.write_text(json.dumps({**DEBUG, "gpu_name": "NVIDIA A100", "network": "OptimizedModule"}))
    assert of(models[0])["GPU"] == "NVIDIA H200, NVIDIA A100"
    assert of(models[0])["network as built"] == "EASUNet"
    debug.write_text("{")
    assert of(models[0])["GPU"] == "NVIDIA H200"
    for fold in ("fold_0", "fold_1"):
        (models[0] / fold / "debug.json").unlink()
        next((models[0] / fold).glob("training_log_*")).unlink()
    assert of(models[0])["epochs trained, per fold"] == "no log, no log"
    assert "GPU" not in of(models[0])


def test_where_models_differ_is_marked():
    def table(of_models):
        template = TEMPLATES.get_template("tables.html")
        return str(template.module.settings_table(of_models, compared(of_models)))

    rows = table({"one": {"a": "1", "b": "<2>"}, "two": {"a": "1", "c": "3"}}).split("<tr>")[2:]
    assert ["≠" in row for row in rows] == [False, True, True]
    assert "&lt;2&gt;" in rows[1]
    assert "≠" not in table({"one": {"a": "1"}})
