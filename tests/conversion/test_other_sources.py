"""OAIZIB-CM, SKI10, IWOAI and datasets in nnU-Net's own layout."""

import csv
import json

import h5py
import numpy as np
import openpyxl
import pytest
import SimpleITK as sitk
from archives import SMALL

from nnunet_eas.phantom import knee

KNEE = knee(seed=1, **SMALL)
SPACING_XYZ = SMALL["spacing"][::-1]


def volume(array, orientation="LPS"):
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(SPACING_XYZ)
    image.SetOrigin((-20, 5, 7))
    turned = sitk.DICOMOrient(image, orientation)
    return turned


def sided():
    """The knee's labels with lateral tibial cartilage as 5."""
    labels = KNEE.segmentation.copy()
    labels[:, :, :4][labels[:, :, :4] == 4] = 5
    assert {4, 5} <= set(np.unique(labels))
    return labels


@pytest.fixture
def cm(tmp_path):
    """OAIZIB-CM as it is published: RAS, sequential numbers, subject tables."""
    source = tmp_path / "cm"
    for side, numbers in (("Tr", (1, 2)), ("Ts", (405,))):
        for kind, array in (("images", KNEE.image), ("labels", sided())):
            (source / f"{kind}{side}").mkdir(parents=True)
            for n in numbers:
                name = f"oaizib_{n:03d}{'_0000' if kind == 'images' else ''}.nii.gz"
                sitk.WriteImage(volume(array, "RAS"), str(source / f"{kind}{side}" / name))
    book = openpyxl.Workbook()
    for row in (["CMT-ID", "OAI ID", "Age"], ["oaizib_001", 9000099, 61], ["oaizib_002", 9001104, 58]):
        book.active.append(row)
    book.save(source / "subInfo_train.xlsx")
    with (source / "subInfo_test.csv").open("w", newline="") as f:
        csv.writer(f).writerows([["subject", "CMT-ID"], ["9999999", "405"]])
    return source


@pytest.mark.parametrize(
    ("labels", "table"),
    [("cartilage", [0, 0, 1, 0, 2, 2]), ("cartilage-and-bone", [0, 1, 2, 3, 4, 4]), ("sided", [0, 1, 2, 3, 4, 5])],
)
def test_oaizib_cm(tmp_path, cm, convert, labels, table):
    status, _, err = convert("oaizib-cm", "--source", cm, "-d", 5, "--output", tmp_path, "--labels", labels, "--verify")
    assert status == 0, err
    folder = tmp_path / "Dataset005_OAIZIBCM"
    assert {f.name for f in (folder / "labelsTr").iterdir()} == {
        "oaizib_001_9000099.nii.gz",
        "oaizib_002_9001104.nii.gz",
    }
    assert (folder / "imagesTs" / "oaizib_405_9999999_0000.nii.gz").is_file()
    mask = sitk.ReadImage(str(folder / "labelsTr" / "oaizib_001_9000099.nii.gz"))
    assert np.array_equal(sitk.GetArrayFromImage(mask), np.array(table)[sided()])
    truth = volume(KNEE.segmentation)
    for index in ((0, 0, 0), (8, 25, 19), (3, 7, 11)):
        assert mask.TransformIndexToPhysicalPoint(index) == pytest.approx(
            truth.TransformIndexToPhysicalPoint(index), abs=1e-3
        )
    dataset = json.loads((folder / "dataset.json").read_text())
    assert dataset["numTraining"] == 2
    assert dataset["licence"] == "CC BY-NC 4.0"
    assert ("EASUNetTrainer_noMirrorLR" in dataset.get("description", "")) == (labels == "sided")


def test_cm_mask_that_lies_elsewhere_is_faulty(tmp_path, cm, convert):
    moved = volume(sided())
    moved.SetOrigin((0, 0, 0))
    sitk.WriteImage(moved, str(cm / "labelsTr" / "oaizib_002.nii.gz"))
    (cm / "labelsTs" / "oaizib_406.nii.gz").write_bytes((cm / "labelsTs" / "oaizib_405.nii.gz").read_bytes())
    (cm / "imagesTr" / "oaizib_003_0000.nii.gz").write_bytes((cm / "imagesTr" / "oaizib_001_0000.nii.gz").read_bytes())
    status, _, err = convert("oaizib-cm", "--source", cm, "-d", 5, "--output", tmp_path)
    assert status == 1
    assert "oaizib_002_9001104: the mask must lie where the image lies" in err
    assert "oaizib_406: its image imagesTs/oaizib_406_0000.nii.gz is missing" in err
    assert "oaizib_003: its number is not in the subject tables" in err


def test_ski10(tmp_path, convert):
    source = tmp_path / "ski10"
    source.mkdir()
    for number in ("001", "002"):
        sitk.WriteImage(volume(KNEE.image, "PIL"), str(source / f"image-{number}.mhd"))
    sitk.WriteImage(volume(KNEE.segmentation, "PIL"), str(source / "labels-001.mhd"))
    assert convert("ski10", "--source", source, "-d", 10, "--output", tmp_path, "--verify")[0] == 0
    folder = tmp_path / "Dataset010_SKI10"
    mask = sitk.ReadImage(str(folder / "labelsTr" / "ski10_001.nii.gz"))
    assert np.array_equal(sitk.GetArrayFromImage(mask), np.array([0, 0, 1, 0, 2])[KNEE.segmentation])
    assert (folder / "imagesTs" / "ski10_002_0000.nii.gz").is_file()


def test_labels_as_floating_point(tmp_path, convert):
    source = tmp_path / "ski10"
    source.mkdir()
    for number, labels in (("001", KNEE.segmentation), ("002", KNEE.segmentation / 2)):
        sitk.WriteImage(volume(KNEE.image), str(source / f"image-{number}.mhd"))
        sitk.WriteImage(volume(labels.astype(np.float64)), str(source / f"labels-{number}.mhd"))
    options = ["ski10", "--source", source, "-d", 10, "--output", tmp_path, "--verify", "--skip-faulty"]
    status, _, err = convert(*options)
    assert status == 0
    assert "skipped ski10_002: the mask must hold whole numbers" in err
    mask = sitk.ReadImage(str(tmp_path / "Dataset010_SKI10" / "labelsTr" / "ski10_001.nii.gz"))
    assert np.array_equal(sitk.GetArrayFromImage(mask), np.array([0, 0, 1, 0, 2])[KNEE.segmentation])


def test_iwoai_two_visits_of_a_knee_stay_on_one_side(tmp_path, convert):
    source = tmp_path / "iwoai"
    source.mkdir()
    upright = KNEE.image[::-1]
    planes = np.stack([KNEE.segmentation[::-1] == n for n in (2, 4)] + [np.zeros(upright.shape, bool)] * 4, axis=-1)
    planes[0, 0, 0, 2] = True
    for knee_number in range(1, 6):
        for visit in ("V00", "V01"):
            for ending, array in (("im", upright.astype(np.float32)), ("seg", planes.astype(np.uint8))):
                with h5py.File(source / f"train_{knee_number:03d}_{visit}.{ending}", "w") as file:
                    file["data"] = array
    assert convert("iwoai", "--source", source, "-d", 19, "--output", tmp_path, "--verify")[0] == 0
    folder = tmp_path / "Dataset019_IWOAI"
    mask = sitk.ReadImage(str(folder / "labelsTr" / "iwoai_train_001_V00.nii.gz"))
    truth = np.array([0, 0, 1, 0, 2])[KNEE.segmentation]
    truth[-1, 0, 0] = 2
    assert np.array_equal(sitk.GetArrayFromImage(mask), truth)
    image = sitk.ReadImage(str(folder / "imagesTr" / "iwoai_train_001_V00_0000.nii.gz"))
    assert np.array_equal(sitk.GetArrayFromImage(image), KNEE.image)
    folds = json.loads((folder / "splits_final.json").read_text())
    for fold in folds:
        assert not {case[:15] for case in fold["train"]} & {case[:15] for case in fold["val"]}


def test_a_dataset_of_nnunets_own_layout(tmp_path, convert):
    source = tmp_path / "Dataset001_Old"
    for kind, array in (("images", KNEE.image), ("labels", KNEE.segmentation)):
        (source / f"{kind}Tr").mkdir(parents=True)
        name = f"case_1{'_0000' if kind == 'images' else ''}.nii.gz"
        sitk.WriteImage(volume(array, "ASR"), str(source / f"{kind}Tr" / name))
    labels = {"background": 0, "a": 1, "b": 2, "c": 3, "d": 4}
    dataset = {"channel_names": {"0": "CT"}, "labels": labels, "file_ending": ".nii.gz", "numTraining": 1}
    (source / "dataset.json").write_text(json.dumps(dataset))
    assert convert("verify", source)[0] == 0
    assert convert("nnunet", "--source", source, "-d", 2, "--output", tmp_path, "--verify")[0] == 0
    folder = tmp_path / "Dataset002_LPS"
    assert json.loads((folder / "dataset.json").read_text())["labels"] == labels
    assert json.loads((folder / "dataset.json").read_text())["channel_names"] == {"0": "CT"}
    mask = sitk.ReadImage(str(folder / "labelsTr" / "case_1.nii.gz"))
    assert np.array_equal(sitk.GetArrayFromImage(mask), KNEE.segmentation)

    changed = sitk.ReadImage(str(folder / "labelsTr" / "case_1.nii.gz"))
    changed[2, 3, 4] = 4 - changed[2, 3, 4]
    sitk.WriteImage(changed, str(folder / "labelsTr" / "case_1.nii.gz"))
    status, _, err = convert("verify", folder)
    assert status == 1
    assert "case_1: case_1.nii.gz must be as converted" in err


@pytest.mark.parametrize("kind", ["oaizib-cm", "ski10", "iwoai", "nnunet"])
def test_a_folder_that_holds_none_of_it(tmp_path, convert, kind):
    status, _, err = convert(kind, "--source", tmp_path, "-d", 5, "--output", tmp_path / "raw")
    assert status == 1
    assert err.startswith("error: --source must")
