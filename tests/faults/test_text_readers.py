"""Every reader of a JSON file or table of ours, with damaged files: an error that a user can read, or none."""

import json
import os
from pathlib import Path

import pytest
from faults.damage import damaged_bytes, damaged_json
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_conversion.dicom.scans import COLUMNS, read_table
from dataset_conversion.sources.nnunet_raw import read_dataset_json as read_raw_dataset
from dataset_conversion.writing.splits import split_from_file, split_warnings
from nnunet_eas.cli.main import EXPECTED_ERRORS
from nnunet_eas.crossval.best import read_best
from nnunet_eas.crossval.record import FILE as RECORD
from nnunet_eas.crossval.record import Record, read_record
from nnunet_eas.evaluation.mask_file import read_mask
from nnunet_eas.evaluation.model_folder import preprocessed_dataset, split_cases
from nnunet_eas.evaluation.structures import find_structures
from nnunet_eas.plans.check import check_dataset, check_plans
from nnunet_eas.support.files import read_csv, read_json

EXAMPLES = int(os.environ.get("FAULTS", "25"))
"""Damaged files a reader; `benchmarks.checks.faults` asks for more."""

PLANS = json.loads((Path(__file__).parents[1] / "plans" / "plans_of_format_1.json").read_text(encoding="utf-8"))
DATASET = {
    "channel_names": {"0": "MR"},
    "labels": {"background": 0, "femur": 1, "cartilage": [2, 3], "ignore": 4},
    "numTraining": 2,
    "file_ending": ".nii.gz",
    "regions_class_order": [1, 2],
}
SPLITS = [{"train": ["a", "b"], "val": ["c"]}, {"train": ["a", "c"], "val": ["b"]}]
BEST = {
    "folds": [0, 1],
    "considered_models": [{"trainer": "EASUNetTrainer", "plans": "nnUNetPlans", "configuration": "2d"}],
    "best_model_or_ensemble": {
        "selected_model_or_models": [
            {"trainer": "EASUNetTrainer", "plans_identifier": "nnUNetPlans", "configuration": "2d"}
        ],
        "result_on_crossval_post_pp": 0.9,
        "postprocessing_file": "postprocessing.pkl",
        "some_plans_file": "some_plans.json",
    },
}


def in_folder(name, read):
    """A reader of a folder, given the file in it."""

    def of_file(file):
        named = file.rename(file.with_name(name))
        try:
            return read(named.parent)
        finally:
            named.rename(file)

    return of_file


def read_tiff(file):
    from PIL import Image

    page = Image.new("L", (4, 5))
    page.save(file.with_suffix(".tif"), save_all=True, append_images=[page, page])
    return read_mask(file.with_suffix(".tif"))


JSON_READERS = {
    "plans": (PLANS, lambda file: check_plans(read_json(file, "plans.json"))),
    "dataset": (DATASET, lambda file: check_dataset(read_json(file, "dataset.json"))),
    "structures": (DATASET, lambda file: find_structures(file, None)),
    "raw dataset": (DATASET, in_folder("dataset.json", lambda folder: read_raw_dataset(folder, "--source"))),
    "model's dataset": (PLANS, in_folder("plans.json", preprocessed_dataset)),
    "validation cases": (SPLITS, in_folder("splits_final.json", lambda folder: split_cases([Path("fold_1")], folder))),
    "--split": (SPLITS, lambda file: split_from_file({"a": "a", "b": "b", "c": "c"}, file)),
    "another split": (SPLITS, in_folder("splits_final.json", lambda folder: split_warnings(SPLITS, 3, folder.name))),
    "best": (BEST, in_folder("inference_information.json", read_best)),
    "record": (vars(Record()), in_folder(RECORD, read_record)),
    "TIFF's spacing": ({"spacing": [0.5, 0.6, 0.7]}, read_tiff),
}


def assert_told(read, file):
    """The reader reads the file, or raises an error of one line, of a kind that the commands show."""
    try:
        read(file)
    except EXPECTED_ERRORS as error:
        message = str(error)
    else:
        return
    assert message.strip()
    assert "\n" not in message


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("damaged")
    before = os.environ.get("nnUNet_preprocessed")
    os.environ["nnUNet_preprocessed"] = str(folder.parent)
    for name in ("postprocessing.pkl", "some_plans.json"):
        (folder / name).write_bytes(b"")
    yield folder
    os.environ.pop("nnUNet_preprocessed")
    if before is not None:
        os.environ["nnUNet_preprocessed"] = before


@pytest.mark.parametrize("reader", JSON_READERS)
@settings(max_examples=EXAMPLES)
@given(data=st.data())
def test_json(folder, reader, data):
    content, read = JSON_READERS[reader]
    file = folder / "content.json"
    file.write_bytes(data.draw(damaged_json(content)))
    assert_told(read, file)


@pytest.mark.parametrize("reader", JSON_READERS)
def test_undamaged_json(folder, reader):
    content, read = JSON_READERS[reader]
    file = folder / "content.json"
    file.write_text(json.dumps(content))
    read(file)


TABLE = (",".join(COLUMNS) + "\n" + ",".join("abcdefgh") + '\n"1","2",3,4,5,6,7,8\n').encode()


@pytest.mark.parametrize("read", [read_table, lambda file: read_csv(file, "-o")], ids=["series.csv", "any"])
@settings(max_examples=EXAMPLES)
@given(content=damaged_bytes(TABLE))
def test_tables(folder, read, content):
    file = folder / "table.csv"
    file.write_bytes(content)
    assert_told(read, file)
