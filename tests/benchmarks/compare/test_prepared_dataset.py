"""A dataset prepared for a comparison: the same split, batch and patch for all, a plans file for every network."""

import json
import shutil
from pathlib import Path

import pytest

from benchmarks.compare.networks import NETWORKS
from benchmarks.compare.prepared_dataset import PreparedDataset, Sizes, sizes_of
from nnunet_eas.plans.translation import switches, translate_plans

pytestmark = pytest.mark.slow  # the planned dataset comes from a command


def test_the_split_is_nnunet_s_own(tiny):
    split = tiny.prepared().split
    assert len(split) == 5
    assert sorted(case for fold in split for case in fold["val"]) == [f"blob_00{number}" for number in range(5)]


def test_batch_and_patch_are_the_same_for_all(tiny):
    prepared = tiny.prepared(batch_size=3, patch_size=(16, 24))
    for name in ("default", "eas", "paper_no_module"):
        found = prepared.configuration(name, NETWORKS[name], "2d")
        assert (found["batch_size"], found["patch_size"]) == (3, [16, 24])
        written = json.loads((tiny.preprocessed / f"{name}.json").read_text())
        assert (written["plans_name"], written["configurations"]["2d"]) == (name, found)


def test_the_plan_s_own_without(tiny):
    planned = json.loads((tiny.preprocessed / "nnUNetPlans.json").read_text())["configurations"]["2d"]
    assert tiny.prepared(batch_size=None).configuration("default", NETWORKS["default"], "2d") == planned


def test_without_a_batch_all_have_the_default_plan_s(tiny):
    planned = json.loads((tiny.preprocessed / "nnUNetPlans.json").read_text())["configurations"]["2d"]
    found = tiny.prepared(batch_size=None).configuration("resenc_m", NETWORKS["resenc_m"], "2d")
    own = json.loads((tiny.preprocessed / "nnUNetResEncUNetMPlans.json").read_text())["configurations"]["2d"]
    assert own["batch_size"] != planned["batch_size"]  # or the test says nothing
    assert found["batch_size"] == planned["batch_size"]


def test_what_is_turned_stands_in_the_plan(tiny):
    prepared = PreparedDataset(tiny.dataset, tiny.work, {"2d": Sizes(2), "3d_fullres": Sizes(2)})
    found = prepared.configuration("paper_no_module", NETWORKS["paper_no_module"], "2d")["architecture"]["arch_kwargs"]
    assert found["eas_module"] is False
    norms = {
        configuration: prepared.configuration("paper_other_norm", NETWORKS["paper_other_norm"], configuration)
        for configuration in ("2d", "3d_fullres")
    }
    named = {c: plan["architecture"]["arch_kwargs"]["norm_op"].rsplit(".", 1)[1] for c, plan in norms.items()}
    assert named == {"2d": "InstanceNorm2d", "3d_fullres": "BatchNorm3d"}


def test_rates_go_by_the_patch_that_is_trained(tiny):
    sizes = {"2d": Sizes(2, (16, 16))}
    prepared = PreparedDataset(tiny.dataset, tiny.work, sizes)
    network = NETWORKS["paper_no_fusion"]
    turned = prepared.configuration("paper_no_fusion", network, "2d")["architecture"]["arch_kwargs"]
    plans = json.loads((tiny.preprocessed / "nnUNetPlans.json").read_text())
    plans["configurations"]["2d"]["patch_size"] = [16, 16]
    of_eas = translate_plans(plans)["configurations"]["2d"]["architecture"]["arch_kwargs"]
    assert turned == {**of_eas, **switches(2, of_the_paper=True), "output_fusion": False}


def test_another_runner_s_configuration_stays(tiny):
    network = NETWORKS["unet"]
    PreparedDataset(tiny.dataset, tiny.work, {"3d_fullres": Sizes(7)}).configuration("unet", network, "3d_fullres")
    PreparedDataset(tiny.dataset, tiny.work, {"2d": Sizes(3)}).configuration("unet", network, "2d")
    written = json.loads((tiny.preprocessed / "unet.json").read_text())["configurations"]
    assert (written["2d"]["batch_size"], written["3d_fullres"]["batch_size"]) == (3, 7)


def test_a_control_keeps_its_architecture(tiny):
    found = tiny.prepared().configuration("default_eas_start", NETWORKS["default_eas_start"], "2d")["architecture"]
    assert found["network_class_name"].endswith("PlainConvUNet")
    assert found["arch_kwargs"]["norm_op"].endswith("BatchNorm2d")


def test_a_plans_file_is_written_once(tiny):
    prepared = tiny.prepared()
    prepared.configuration("eas", NETWORKS["eas"], "2d")
    before = (tiny.preprocessed / "eas.json").stat().st_mtime_ns
    prepared.configuration("eas", NETWORKS["eas"], "2d")
    assert (tiny.preprocessed / "eas.json").stat().st_mtime_ns == before


@pytest.mark.parametrize("file", ["labelsTr/blob_003.nii.gz", "imagesTr/blob_000_0000.nii.gz", "dataset.json"])
def test_other_data_have_another_fingerprint(tiny, tmp_path, file):
    prepared = tiny.prepared()
    prepared.dataset = Path(shutil.copytree(tiny.dataset, tmp_path / tiny.name))
    assert prepared._data_fingerprint() == prepared.data
    with (prepared.dataset / file).open("ab") as f:
        f.write(b" ")
    assert prepared._data_fingerprint() != prepared.data


def test_data_that_changed_after_preprocessing_are_refused(tiny, tmp_path):
    work = Path(shutil.copytree(tiny.work, tmp_path / "work"))
    dataset = Path(shutil.copytree(tiny.dataset, tmp_path / tiny.name))
    PreparedDataset(dataset, work, {"2d": Sizes(2)})
    shutil.copy(dataset / "labelsTr" / "blob_000.nii.gz", dataset / "labelsTr" / "blob_001.nii.gz")
    with pytest.raises(SystemExit, match="--work must"):
        PreparedDataset(dataset, work, {"2d": Sizes(2)})


def test_sizes():
    assert sizes_of(["2d", "3d_fullres"], ["2d=12"], ["3d_fullres=40x56x40"]) == {
        "2d": Sizes(12, None),
        "3d_fullres": Sizes(None, (40, 56, 40)),
    }
