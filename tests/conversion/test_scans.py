"""New scans as a scanner exports them, and their masks on the way home."""

import json
import shutil

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from archives import SMALL, contents
from phantom_defects import Defect, write_archive

from dataset_conversion.dicom.scans import read_table

FLIPS = ((True, False, True), (False, True, False), (True, True, True))
LABELS = {"background": 0, "femoral_cartilage": 1, "tibial_cartilage": 2}


@pytest.fixture
def knees(tmp_path):
    """Two right knees and a left one between them, with no folder names that say anything."""
    archive = write_archive(tmp_path / "a", cases=3, sides=("right", "left"), flips=FLIPS, **SMALL)
    for n, case in enumerate(archive.cases):
        shutil.move(archive.mri / case.series, tmp_path / "export" / f"{n}")
    return tmp_path / "export", archive.cases


def by_case(folder, cases):
    """Row and image of each case, found through what it shows."""
    found = {}
    for name, row in read_table(folder / "series.csv").items():
        image = sitk.ReadImage(str(folder / f"{name}_0000.nii.gz"))
        number = int(row["folder"])
        found[number] = (row, image)
    assert sorted(found) == list(range(len(cases)))
    return [found[number] for number in sorted(found)]


def predicted(scans, masks):
    """Masks as nnUNetv2_predict would leave them: on each scan's grid, telling left from right."""
    masks.mkdir()
    for file in scans.glob("*_0000.nii.gz"):
        image = sitk.ReadImage(str(file))
        labels = np.zeros(image.GetSize()[::-1], dtype=np.uint8)
        labels[3:9, 4:11, 1:4] = 1
        labels[5, 6, 2] = 2
        mask = sitk.GetImageFromArray(labels)
        mask.CopyInformation(image)
        sitk.WriteImage(mask, str(masks / file.name.replace("_0000", "")))
    dataset = {"labels": LABELS, "channel_names": {"0": "MRI"}, "file_ending": ".nii.gz", "numTraining": 1}
    (masks / "dataset.json").write_text(json.dumps(dataset))


def test_every_series_becomes_a_scan_where_it_lies(tmp_path, knees, convert):
    tree, cases = knees
    assert convert("dicom", "-i", tree, "-o", tmp_path / "imagesTs")[0] == 0
    for case, (row, image) in zip(cases, by_case(tmp_path / "imagesTs", cases)):
        assert (row["side"], row["mirrored"]) == (case.side, "no")
        assert np.array_equal(sitk.GetArrayFromImage(image), case.knee.image)
        found = np.asarray(image.TransformIndexToPhysicalPoint((3, 7, 11)))
        assert np.abs(found - case.position((3, 7, 11))).max() < 0.01


def test_names_stay_the_same_when_scans_come_and_go(tmp_path, knees, convert):
    tree, _ = knees
    convert("dicom", "-i", tree, "-o", tmp_path / "first")
    shutil.rmtree(tree / "0")
    (tree / "1").rename(tree / "moved")
    convert("dicom", "-i", tree, "-o", tmp_path / "second")
    first, second = (
        {row["series_instance_uid"]: name for name, row in read_table(tmp_path / part / "series.csv").items()}
        for part in ("first", "second")
    )
    assert len(second) == 2
    assert second.items() <= first.items()


def test_copies_of_a_series_elsewhere_in_the_tree_are_the_same_series(tmp_path, knees, convert):
    tree, cases = knees
    shutil.copytree(tree / "1", tree / "copies" / "1")
    assert convert("dicom", "-i", tree, "-o", tmp_path / "imagesTs")[0] == 0
    assert len(by_case(tmp_path / "imagesTs", cases)) == 3


def test_a_second_night_converts_what_is_new(tmp_path, knees, convert):
    tree, _ = knees
    later = shutil.move(tree / "2", tmp_path / "2")
    convert("dicom", "-i", tree, "-o", tmp_path / "imagesTs")
    before = {f: f.stat().st_mtime_ns for f in (tmp_path / "imagesTs").glob("*.nii.gz")}
    shutil.move(later, tree / "2")
    convert("dicom", "-i", tree, "-o", tmp_path / "imagesTs")
    after = {f: f.stat().st_mtime_ns for f in (tmp_path / "imagesTs").glob("*.nii.gz")}
    assert len(after) == 3
    assert before.items() <= after.items()


def test_left_knees_are_mirrored_and_their_masks_mirrored_back(tmp_path, knees, convert):
    tree, cases = knees
    scans, masks = tmp_path / "imagesTs", tmp_path / "masks"
    assert convert("dicom", "-i", tree, "-o", scans, "--side", "right")[0] == 0
    (_, right), (left_row, left), _ = by_case(scans, cases)
    assert left_row["mirrored"] == "yes"
    assert np.array_equal(sitk.GetArrayFromImage(left), cases[1].knee.image[:, :, ::-1])
    assert np.array_equal(sitk.GetArrayFromImage(right), cases[0].knee.image)

    predicted(scans, masks)
    table = ["--table", scans / "series.csv"]
    assert convert("masks", "-i", masks, "-o", tmp_path / "home", *table)[0] == 0
    home = sitk.ReadImage(str(tmp_path / "home" / f"{left_row['name']}.nii.gz"))
    # the voxel that bears 2 lies at x 2 of the mirrored image, and so at the mirrored place of the knee
    index = [int(i) for i in np.argwhere(sitk.GetArrayFromImage(home) == 2)[0][::-1]]
    assert index == [9 - 1 - 2, 6, 5]
    found = np.asarray(home.TransformIndexToPhysicalPoint(index))
    assert np.abs(found - cases[1].position(index)).max() < 0.01


def test_masks_as_dicom_seg_lie_on_the_series_own_slices(tmp_path, knees, convert):
    tree, cases = knees
    scans, masks = tmp_path / "imagesTs", tmp_path / "masks"
    convert("dicom", "-i", tree, "-o", scans, "--side", "right")
    predicted(scans, masks)
    table = ["--table", scans / "series.csv"]
    assert convert("masks", "-i", masks, "-o", tmp_path / "seg", *table, "--dicom-seg", tree)[0] == 0
    convert("masks", "-i", masks, "-o", tmp_path / "home", *table)
    for number, (row, _) in enumerate(by_case(scans, cases)):
        segmentation = pydicom.dcmread(tmp_path / "seg" / f"{row['name']}.dcm")
        source = pydicom.dcmread(next((tree / str(number)).iterdir()))
        assert segmentation.PatientID == source.PatientID
        assert segmentation.StudyInstanceUID == source.StudyInstanceUID
        assert [s.SegmentLabel for s in segmentation.SegmentSequence] == ["femoral cartilage", "tibial cartilage"]

        home = sitk.ReadImage(str(tmp_path / "home" / f"{row['name']}.nii.gz"))
        truth = sitk.GetArrayFromImage(home)
        rebuilt = np.zeros_like(truth)
        for pixels, frame in zip(segmentation.pixel_array, segmentation.PerFrameFunctionalGroupsSequence):
            position = np.array(frame.PlanePositionSequence[0].ImagePositionPatient, dtype=float)
            shared = segmentation.SharedFunctionalGroupsSequence[0]
            cosines = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, dtype=float).reshape(2, 3)
            spacing = np.array(shared.PixelMeasuresSequence[0].PixelSpacing, dtype=float)
            number_here = frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber
            for r, c in np.argwhere(pixels):
                point = position + cosines[0] * spacing[1] * c + cosines[1] * spacing[0] * r
                x, y, z = home.TransformPhysicalPointToIndex(point)
                rebuilt[z, y, x] = number_here
        assert np.array_equal(rebuilt, truth)


def test_oai_folders_give_the_oai_id_but_no_date(tmp_path, convert):
    archive = write_archive(tmp_path / "a", cases=2, **SMALL)
    assert convert("dicom", "-i", archive.mri, "-o", tmp_path / "imagesTs")[0] == 0
    text = (tmp_path / "imagesTs" / "series.csv").read_text() + " ".join(contents(tmp_path / "imagesTs"))
    for case in archive.cases:
        assert f"oai_{case.identifier}_" in text
        assert case.series.parts[2] not in text
        assert list(archive.mri.glob(f"*/{case.identifier}/*/{case.series.name}"))


def test_patient_names_in_folders_are_left_out(tmp_path, convert):
    archive = write_archive(tmp_path / "a", cases=1, **SMALL)
    folder = tmp_path / "tree" / "Phantom Case0000" / "knee"
    folder.parent.mkdir(parents=True)
    shutil.move(archive.mri / archive.cases[0].series, folder)
    assert convert("dicom", "-i", tmp_path / "tree", "-o", tmp_path / "imagesTs")[0] == 0
    (row,) = read_table(tmp_path / "imagesTs" / "series.csv").values()
    assert row["folder"] == "*/knee"
    for file in (tmp_path / "imagesTs").rglob("*"):
        assert "hantom" not in file.name
        assert file.is_dir() or b"hantom" not in file.read_bytes()


@pytest.mark.parametrize(
    ("defect", "message"),
    [
        (Defect.MISSING_SLICE, "missing between others"),
        (Defect.UNREADABLE_SLICE, "beside its slices can't be read"),
        (Defect.TWO_ECHOES, "2 echoes"),
        (Defect.NO_CODEC, "no decoder"),
    ],
)
def test_faulty_series(tmp_path, convert, defect, message):
    archive = write_archive(tmp_path / "a", cases=2, defects={1: [defect]}, **SMALL)
    options = ["dicom", "-i", archive.mri, "-o", tmp_path / "imagesTs"]
    status, _, err = convert(*options)
    assert status == 1
    assert "1 of 2 cases can't be converted" in err
    assert message in err
    assert not (tmp_path / "imagesTs").exists()
    assert convert(*options, "--skip-faulty")[0] == 0
    assert len(list((tmp_path / "imagesTs").glob("*.nii.gz"))) == 1


def test_several_series_in_a_folder_are_scans_of_their_own(tmp_path, convert):
    archive = write_archive(
        tmp_path / "a", cases=1, defects={0: [Defect.SEVERAL_SERIES, Defect.FOREIGN_FILES]}, **SMALL
    )
    status, _, err = convert("dicom", "-i", archive.mri, "-o", tmp_path / "imagesTs")
    assert status == 0, err
    assert len(list((tmp_path / "imagesTs").glob("oai_*.nii.gz"))) == 2


def test_regions_are_overlapping_segments(tmp_path, knees, convert):
    tree, cases = knees
    scans, masks = tmp_path / "imagesTs", tmp_path / "masks"
    convert("dicom", "-i", tree, "-o", scans)
    predicted(scans, masks)
    dataset = json.loads((masks / "dataset.json").read_text())
    dataset["labels"] = {"background": 0, "cartilage": [1, 2], "tibial_cartilage": [2]}
    dataset["regions_class_order"] = [1, 2]
    (masks / "dataset.json").write_text(json.dumps(dataset))
    table = ["--table", scans / "series.csv"]
    assert convert("masks", "-i", masks, "-o", tmp_path / "seg", *table, "--dicom-seg", tree)[0] == 0
    (row, _), *_ = by_case(scans, cases)
    segmentation = pydicom.dcmread(tmp_path / "seg" / f"{row['name']}.dcm")
    voxels = {1: 0, 2: 0}
    for pixels, frame in zip(segmentation.pixel_array, segmentation.PerFrameFunctionalGroupsSequence):
        voxels[frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber] += int(pixels.sum())
    assert [s.SegmentLabel for s in segmentation.SegmentSequence] == ["cartilage", "tibial cartilage"]
    assert voxels == {1: 6 * 7 * 3, 2: 1}
    again = tmp_path / "again"
    convert("masks", "-i", masks, "-o", again, *table, "--dicom-seg", tree)
    assert pydicom.dcmread(again / f"{row['name']}.dcm").SOPInstanceUID == segmentation.SOPInstanceUID


def test_masks_that_are_not_their_scans(tmp_path, knees, convert):
    tree, _ = knees
    scans, masks = tmp_path / "imagesTs", tmp_path / "masks"
    convert("dicom", "-i", tree, "-o", scans)
    predicted(scans, masks)
    table = ["--table", scans / "series.csv"]
    options = ["masks", "-i", masks, "-o", tmp_path / "home", *table]
    elsewhere, image, cut = sorted(masks.glob("*.nii.gz"))
    moved = sitk.ReadImage(str(elsewhere))
    moved.SetOrigin((0, 0, 0))
    sitk.WriteImage(moved, str(elsewhere))
    shutil.copy(scans / image.name.replace(".nii", "_0000.nii"), image)
    cut.write_bytes(cut.read_bytes()[:-30])
    status, _, err = convert(*options)
    assert status == 1
    assert "it must lie where its scan lies" in err
    assert "it must hold labels of the model's dataset.json" in err
    assert "is damaged or cut off" in err
    assert not (tmp_path / "home").exists()

    predicted(scans, tmp_path / "good")
    shutil.copy(tmp_path / "good" / image.name, image)
    assert convert(*options, "--skip-faulty")[0] == 0
    assert [f.name for f in (tmp_path / "home").iterdir()] == [image.name]
    image.unlink()
    assert "-o must be another folder than -i" in convert("masks", "-i", masks, "-o", masks, *table)[2]
    (masks / "dataset.json").write_text("{}")
    assert "must hold the model's labels" in convert(*options)[2]


def test_the_side_of_a_folder_of_scans_stays(tmp_path, knees, convert):
    tree, _ = knees
    assert convert("dicom", "-i", tree, "-o", tmp_path / "imagesTs", "--side", "right")[0] == 0
    before = contents(tmp_path / "imagesTs")
    assert "--side must stay what it was" in convert("dicom", "-i", tree, "-o", tmp_path / "imagesTs")[2]
    assert contents(tmp_path / "imagesTs") == before


def test_a_header_that_names_both_sides_is_not_mirrored_by_guess(tmp_path, knees, convert):
    tree, _ = knees
    for file in (tree / "1").iterdir():
        dataset = pydicom.dcmread(file)
        dataset.Laterality = "R"
        dataset.save_as(file)
    err = convert("dicom", "-i", tree, "-o", tmp_path / "imagesTs", "--side", "right")[2]
    assert "its header names both sides" in err
    assert convert("dicom", "-i", tree, "-o", tmp_path / "imagesTs")[0] == 0


def test_series_can_be_chosen_by_their_description(tmp_path, knees, convert):
    tree, _ = knees
    options = ["dicom", "-i", tree, "-o", tmp_path / "imagesTs", "--description"]
    assert "with 'localizer' in their series' description" in convert(*options, "localizer")[2]
    assert convert(*options, "dess_right")[0] == 0
    assert len(list((tmp_path / "imagesTs").glob("*.nii.gz"))) == 2


def test_bad_input(tmp_path, convert):
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    archive = write_archive(tmp_path / "a", cases=1, **SMALL)
    assert "got none below" in convert("dicom", "-i", tmp_path / "empty", "-o", tmp_path / "o")[2]
    assert "must be a folder with DICOM" in convert("dicom", "-i", tmp_path / "nowhere", "-o", tmp_path / "o")[2]
    assert "must be new, empty" in convert("dicom", "-i", archive.mri, "-o", tmp_path / "full")[2]
    table = ["--table", tmp_path / "series.csv"]
    assert "--table must be" in convert("masks", "-i", tmp_path / "empty", "-o", tmp_path / "o", *table)[2]
    convert("dicom", "-i", archive.mri, "-o", tmp_path / "scans")
    table = ["--table", tmp_path / "scans" / "series.csv"]
    assert "-i must hold masks" in convert("masks", "-i", tmp_path / "empty", "-o", tmp_path / "o", *table)[2]
    predicted(tmp_path / "scans", tmp_path / "masks")
    (mask,) = (tmp_path / "masks").glob("*.nii.gz")
    shutil.copy(mask, tmp_path / "masks" / "other.nii.gz")
    assert "its name is not in the table" in convert("masks", "-i", mask.parent, "-o", tmp_path / "o", *table)[2]
    assert not (tmp_path / "o").exists()
