"""The archive of synthetic knees: the right bytes in their places."""

from functools import cache

import numpy as np
import pytest
import SimpleITK as sitk
from archives import SMALL, along_normal, assert_is_the_truth, contents, mask_of, read_series, slices_of

from nnunet_eas.phantom import LABELS, knee
from nnunet_eas.phantom_archive import write_archive

COUNT = SMALL["shape"][2]


@pytest.fixture(scope="module", autouse=True)
def _each_knee_is_drawn_once():
    """Most tests write the same two knees, and drawing takes longer than writing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nnunet_eas.phantom_archive.case.knee", cache(knee))
        yield


@pytest.fixture(scope="module")
def knees(tmp_path_factory):
    return write_archive(tmp_path_factory.mktemp("knees"), cases=8, sides=("right", "left"), **SMALL)


@pytest.mark.parametrize("index", range(8))
def test_a_dicom_series_is_the_knee_where_it_lay(knees, index):
    assert_is_the_truth(read_series(knees, knees.cases[index]), knees.cases[index], 1e-6)


def test_masks_are_bytes_without_a_pose(knees):
    for case in knees.cases:
        path = mask_of(knees, case)
        assert path.with_suffix(".raw").read_bytes() == case.knee.segmentation.tobytes()
        mask = sitk.ReadImage(str(path))
        assert mask.GetPixelID() == sitk.sitkUInt8
        assert np.array_equal(sitk.GetArrayFromImage(mask), case.knee.segmentation)
        assert (mask.GetOrigin(), mask.GetDirection()) == ((0, 0, 0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
        assert mask.GetSpacing() == SMALL["spacing"][::-1]
        assert set(np.unique(case.knee.segmentation)) == set(LABELS.values())


def test_the_list_of_scans(knees):
    lines = [f"{case.identifier}: {case.series.as_posix()}" for case in knees.cases]
    doc = knees.masks / "segmentation" / "doc"
    assert (doc / "oai_mri_paths.txt").read_text() == "\n".join(lines) + "\n"
    assert {case.release for case in knees.cases} == {"0.C.2", "0.E.1"}
    assert all(len(case.identifier) == 7 and case.series.parts[1] == case.identifier for case in knees.cases)


def test_what_the_slices_say(knees):
    uids = set()
    for index, case in enumerate(knees.cases):
        slices = slices_of(knees, case)
        assert len(slices) == COUNT
        for item in slices:
            assert (item.PatientID, item.PatientName) == (case.identifier, f"PHANTOM^CASE{index:04d}")
            assert item.SeriesDescription == f"SAG_3D_DESS_{('RIGHT', 'LEFT')[index % 2]}"
            assert item.StudyDate == item.AcquisitionDate == case.series.parts[2]
            assert (item.SliceThickness, list(item.PixelSpacing)) == (10.2, [4.6, 4.2])
            numbers = [*item.ImagePositionPatient, *item.ImageOrientationPatient]
            assert all(len(str(number)) <= 16 for number in numbers)
            uids.add(item.SOPInstanceUID)
        assert len({item.SeriesInstanceUID for item in slices}) == 1
        assert all(len({getattr(item, tag, None) for item in slices}) == 1 for tag in ("RescaleSlope", "EchoTime"))
    assert len(uids) == 8 * COUNT
    firsts = [slices_of(knees, case)[0] for case in knees.cases]
    for tag in ("RescaleSlope", "SpacingBetweenSlices"):
        assert {tag in item for item in firsts} == {True, False}


def test_file_and_instance_numbers_are_no_order_of_slices(knees):
    in_order, shuffled, disagreeing = knees.cases[:3]
    by_name = [along_normal(item) for item in slices_of(knees, in_order)]
    assert by_name in (sorted(by_name), sorted(by_name, reverse=True))
    for case, agree in ((shuffled, True), (disagreeing, False)):
        slices = slices_of(knees, case)
        by_name = [along_normal(item) for item in slices]
        assert by_name not in (sorted(by_name), sorted(by_name, reverse=True))
        assert ([item.InstanceNumber for item in slices] == list(range(1, COUNT + 1))) == agree


def test_poses_are_oblique_rotations(knees, tmp_path):
    angles = []
    for case in knees.cases:
        rotation = case.affine[:3, :3] / SMALL["spacing"][::-1]
        assert rotation @ rotation.T == pytest.approx(np.eye(3), abs=1e-12)
        assert np.linalg.det(rotation) == pytest.approx(1)
        angles.append(np.rad2deg(np.arccos((np.trace(rotation) - 1) / 2)))
        centre = case.position((np.array(SMALL["shape"][::-1]) - 1) / 2)
        assert (centre[0] > 0) == (case.side == "left")
    assert 0 < min(angles) < 8 < max(angles) <= 16
    straight = write_archive(tmp_path, cases=1, obliquity_deg=0, **SMALL).cases[0]
    assert np.array_equal(straight.affine[:3, :3], np.diag(SMALL["spacing"][::-1]))


def test_the_same_arguments_give_the_same_bytes(tmp_path):
    for name in ("first", "again"):
        write_archive(tmp_path / name, cases=2, seed=3, **SMALL)
    assert contents(tmp_path / "first") == contents(tmp_path / "again")


def test_another_seed_is_another_archive_and_more_cases_are_the_same_ones(knees, tmp_path):
    other = write_archive(tmp_path / "other", cases=1, seed=1, **SMALL).cases[0]
    alone, first = write_archive(tmp_path / "alone", cases=1, **SMALL).cases[0], knees.cases[0]
    assert first.identifier != other.identifier
    assert not np.array_equal(first.knee.image, other.knee.image)
    assert not np.array_equal(first.affine, other.affine)
    assert first.series == alone.series
    assert np.array_equal(first.knee.image, alone.knee.image)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cases": 0}, "cases must be from 1 to 1000, got 0"),
        ({"seed": -1}, "seed must be non-negative, got -1"),
        ({"shape": (10, 0, 10)}, "shape must hold three edges"),
        ({"spacing": (1.0, 0.0, 1.0)}, "spacing must hold three positive numbers"),
        ({"sides": ()}, r"sides must hold 'left', 'right' or both, got \(\)"),
        ({"sides": "right"}, "sides must hold 'left', 'right' or both, got 'right'"),
        ({"obliquity_deg": 45}, "obliquity_deg must be at least 0 and less than 45, got 45"),
    ],
)
def test_bad_arguments(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        write_archive(tmp_path, **{"cases": 1, "shape": (6, 7, 5), "spacing": (15.0, 16.0, 18.0), **arguments})


def test_a_folder_with_contents_is_not_written_into(tmp_path):
    (tmp_path / "note").touch()
    with pytest.raises(FileExistsError, match="folder must be new or empty"):
        write_archive(tmp_path, cases=1)
