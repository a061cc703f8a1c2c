"""The tests' own archives: the knee survives each form of the files, and each defect lies where it belongs."""

from functools import cache

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from archives import (
    FLIPS,
    SMALL,
    along_normal,
    assert_is_the_truth,
    contents,
    mask_of,
    read_series,
    slices_of,
)
from phantom_defects import Defect, write_archive
from pydicom.uid import HTJ2KLossless, RLELossless

from nnunet_eas.phantom import LABELS, knee

COUNT = SMALL["shape"][2]
ENDINGS = {"nifti": ".nii.gz", "mha": ".mha"}
DICOM_ONLY = [
    "LEFT_KNEE",
    "SLICE_THICKNESS",
    "UNEVEN_SLICES",
    "MIXED_ORIENTATION",
    "MISSING_SLICE",
    "EVERY_OTHER_SLICE",
    "DUPLICATE_SLICE",
    "TWO_ECHOES",
    "TWO_ACQUISITIONS",
    "SEVERAL_SERIES",
    "COMPRESSED",
    "NO_CODEC",
    "NO_POSITION",
    "TRUNCATED_SLICE",
    "UNREADABLE_SLICE",
]
ANY_FORMAT = [defect for defect in Defect if defect.name not in DICOM_ONLY]


@pytest.fixture(scope="module", autouse=True)
def _each_knee_is_drawn_once():
    """Most tests write the same two knees, and drawing takes longer than writing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nnunet_eas.phantom_archive.case.knee", cache(knee))
        yield


@pytest.fixture(scope="module")
def flipped(tmp_path_factory):
    return write_archive(tmp_path_factory.mktemp("flipped"), cases=8, flips=FLIPS, sides=("right", "left"), **SMALL)


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    return write_archive(tmp_path_factory.mktemp("clean"), cases=2, **SMALL)


@pytest.fixture
def spoilt(tmp_path):
    """Writes the clean archive again, with defects of its second case."""

    def write(*defects, **arguments):
        archive = write_archive(tmp_path / "spoilt", cases=2, defects={1: defects}, **SMALL, **arguments)
        return archive, archive.cases[1]

    return write


@pytest.mark.parametrize("index", range(8))
def test_a_dicom_series_is_the_knee_where_it_lay(flipped, index):
    assert_is_the_truth(read_series(flipped, flipped.cases[index]), flipped.cases[index], 1e-6)


@pytest.mark.parametrize("index", range(8))
def test_flips_reverse_columns_rows_and_slices(flipped, index):
    case = flipped.cases[index]
    slices = slices_of(flipped, case)
    ordered = sorted(slices, key=lambda item: float(item.ImagePositionPatient[0]))
    rising = ordered[0].InstanceNumber == 1 and ordered[-1].InstanceNumber == COUNT
    columns, rows, reversed_ = FLIPS[index]
    orientation = slices[0].ImageOrientationPatient
    assert (orientation[1] < 0, orientation[5] > 0) == (columns, rows)
    if index % 3 == 0:  # the others are numbered in no order
        assert rising != reversed_


@pytest.mark.parametrize("mri_format", ["nifti", "mha"])
def test_other_formats_hold_the_same_in_another_order(tmp_path, mri_format):
    archive = write_archive(tmp_path, cases=8, flips=FLIPS, mri_format=mri_format, **SMALL)
    orders = set()
    for case in archive.cases:
        image = sitk.ReadImage(str(archive.mri / f"{case.identifier}{ENDINGS[mri_format]}"))
        orders.add(sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(image.GetDirection()))
        assert_is_the_truth(image, case, 1e-4)  # NIfTI has single precision
    assert len(orders) == 8
    assert {"nifti": "RAS", "mha": "PIL"}[mri_format] in orders


def test_the_lists_and_the_sibling_folder(tmp_path):
    archive = write_archive(tmp_path, cases=3, mri_format="nifti", **SMALL)
    first, second, third = archive.cases
    doc = archive.masks / "segmentation" / "doc"
    lines = [f"{case.identifier}: {case.series.as_posix()}" for case in archive.cases]
    assert (doc / "oai_mri_paths.txt").read_text() == "\n".join(lines) + "\n"
    assert (doc / "2foldCrossValidation-List1.txt").read_text() == f"{first.identifier}\n"
    assert (doc / "2foldCrossValidation-List2.txt").read_text() == f"{second.identifier}\n{third.identifier}\n"
    assert {case.release for case in archive.cases} == {"0.C.2", "0.E.1"}
    assert all(len(case.identifier) == 7 and case.series.parts[1] == case.identifier for case in archive.cases)
    bones = sitk.GetArrayFromImage(sitk.ReadImage(str(mask_of(archive, first, "classification"))))
    assert np.array_equal(bones == 1, first.knee.segmentation == LABELS["femur"])
    assert np.array_equal(bones == 2, first.knee.segmentation == LABELS["tibia"])
    assert bones.max() == 2


def test_the_older_layout(tmp_path):
    archive = write_archive(tmp_path, cases=1, layout="OAI-ZIB", mri_format="mha", **SMALL)
    assert [path.name for path in archive.masks.iterdir()] == ["OAI-ZIB"]
    assert sorted(path.name for path in (archive.masks / "OAI-ZIB").iterdir()) == ["doc", "segmentation_masks"]
    assert mask_of(archive, archive.cases[0], "OAI-ZIB").is_file()


@pytest.mark.parametrize(
    ("rescale", "dtype"), [((1, 0), np.uint16), ((1, -1024), np.uint16), ((1, 2000), np.int16), ((0.5, 0), np.uint16)]
)
def test_rescaled_pixels_are_the_image(tmp_path, rescale, dtype):
    archive = write_archive(tmp_path, cases=1, rescale=rescale, **SMALL)
    case = archive.cases[0]
    for item in slices_of(archive, case):
        assert (item.RescaleSlope, item.RescaleIntercept) == rescale
        assert item.pixel_array.dtype == dtype
    assert_is_the_truth(read_series(archive, case), case, 1e-6)


@pytest.mark.parametrize("mri_format", ["dicom", "nifti", "mha"])
def test_the_same_arguments_give_the_same_bytes(tmp_path, mri_format):
    defects = {0: ANY_FORMAT if mri_format != "dicom" else [Defect.COMPRESSED, Defect.TWO_ECHOES, Defect.FOREIGN_FILES]}
    for name in ("first", "again"):
        write_archive(tmp_path / name, cases=2, seed=3, mri_format=mri_format, defects=defects, **SMALL)
    assert contents(tmp_path / "first") == contents(tmp_path / "again")


@pytest.mark.parametrize("defect", Defect, ids=lambda defect: defect.name)
def test_each_defect_changes_its_own_case_only(clean, spoilt, defect):
    archive, case = spoilt(defect)
    before, after = contents(clean.masks.parent), contents(archive.masks.parent)
    changed = {path for path in before | after if before.get(path) != after.get(path)}
    assert changed
    assert all(case.identifier in path or path.endswith("oai_mri_paths.txt") for path in changed)
    assert not any("classification" in path for path in changed)
    in_masks = {path.startswith("archive/") for path in changed}
    assert len(in_masks) == 1
    if defect is Defect.DUPLICATE_ID:
        assert changed == {"archive/segmentation/doc/oai_mri_paths.txt"}
    assert np.array_equal(case.knee.segmentation, clean.cases[1].knee.segmentation)


@pytest.mark.parametrize("mri_format", ["nifti", "mha"])
@pytest.mark.parametrize("defect", ANY_FORMAT, ids=lambda defect: defect.name)
def test_defects_of_any_format(tmp_path, defect, mri_format):
    arguments = {"cases": 1, "mri_format": mri_format, **SMALL}
    write_archive(tmp_path / "clean", **arguments)
    write_archive(tmp_path / "spoilt", defects={0: [defect]}, **arguments)
    assert contents(tmp_path / "clean") != contents(tmp_path / "spoilt")


def test_defects_of_the_labels(spoilt):
    wanted = (Defect.FOREIGN_LABELS, Defect.EMPTY_STRUCTURE, Defect.ISOLATED_CLUSTER)
    archive, case = spoilt(*wanted)
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(mask_of(archive, case))))
    assert set(np.unique(labels)) == {0, 1, 2, 3, 7}
    added = np.argwhere((labels == 2) & (case.knee.segmentation != 2))
    assert len(added) == 8
    real = np.argwhere(case.knee.segmentation == 2)
    gaps_mm = np.linalg.norm((added[:, None] - real) * SMALL["spacing"], axis=2)
    assert gaps_mm.min() > 25


def test_a_shifted_mask_lies_higher(spoilt):
    archive, case = spoilt(Defect.SHIFTED_MASK)
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(mask_of(archive, case))))
    assert np.array_equal(labels[1:], case.knee.segmentation[:-1])  # 6 mm are one voxel of 4.6
    assert np.array_equal(labels[0], case.knee.segmentation[0])


def test_sizes_of_masks(spoilt):
    archive, case = spoilt(Defect.SIZE_DIFFERS)
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(mask_of(archive, case))))
    assert np.array_equal(labels, case.knee.segmentation[:, :, :-1])


@pytest.mark.parametrize("defect", [Defect.HEADER_SIZE, Defect.TRUNCATED_RAW])
def test_masks_that_cannot_be_read(spoilt, defect):
    archive, case = spoilt(defect)
    with pytest.raises(RuntimeError, match="cannot be read"):
        sitk.ReadImage(str(mask_of(archive, case)))


def test_an_identifier_named_twice(spoilt):
    archive, case = spoilt(Defect.DUPLICATE_ID)
    lines = (archive.masks / "segmentation" / "doc" / "oai_mri_paths.txt").read_text().splitlines()
    paths = [line.split(": ")[1] for line in lines if line.startswith(case.identifier)]
    assert len(lines) == 3
    assert [(archive.mri / path).is_dir() for path in paths] == [True, False]


@pytest.mark.parametrize(
    ("defect", "steps"),
    [
        (Defect.MISSING_SLICE, {1.0: 6, 2.0: 1}),
        (Defect.EVERY_OTHER_SLICE, {2.0: 4}),
        (Defect.DUPLICATE_SLICE, {1.0: 8, 0.0: 1}),
        (Defect.UNEVEN_SLICES, {1.0: 6, 0.7: 1, 1.3: 1}),
        (Defect.SLICE_THICKNESS, {1.0: 8}),
        (Defect.TWO_ECHOES, {1.0: 8, 0.0: 9}),
        (Defect.TWO_ACQUISITIONS, {1.0: 8, 0.0: 9}),
        (Defect.SEVERAL_SERIES, {1.0: 8, 0.0: 9}),
    ],
)
def test_distances_between_slices(spoilt, defect, steps):
    archive, case = spoilt(defect)
    slices = slices_of(archive, case)
    places = np.sort([along_normal(item) for item in slices])
    values, counts = np.unique(np.round(np.diff(places) / SMALL["spacing"][2], 6) + 0.0, return_counts=True)
    assert dict(zip(values.tolist(), counts.tolist())) == steps
    assert len({item.SOPInstanceUID for item in slices}) == len(slices)
    assert len({item.SeriesInstanceUID for item in slices}) == 1 + (defect is Defect.SEVERAL_SERIES)
    assert len({item.EchoNumbers for item in slices}) == 1 + (defect is Defect.TWO_ECHOES)
    assert len({item.AcquisitionNumber for item in slices}) == 1 + (defect is Defect.TWO_ACQUISITIONS)
    share = 5 / 6.5 if defect is Defect.SLICE_THICKNESS else 1
    assert slices[0].SliceThickness == pytest.approx(SMALL["spacing"][2] * share)


def test_one_slice_is_tilted(spoilt):
    archive, case = spoilt(Defect.MIXED_ORIENTATION)
    orientations = np.array([item.ImageOrientationPatient for item in slices_of(archive, case)], dtype=float)
    usual = np.median(orientations, axis=0)
    cosines = np.sort(orientations[:, 3:] @ usual[3:])
    assert np.rad2deg(np.arccos(cosines[0])) == pytest.approx(5)
    assert cosines[1:] == pytest.approx(1)
    assert orientations[:, :3] == pytest.approx(np.tile(usual[:3], (COUNT, 1)))


def test_the_knee_survives_what_is_only_unusual(spoilt):
    archive, case = spoilt(Defect.COMPRESSED, Defect.FOREIGN_FILES, Defect.SLICE_THICKNESS)
    assert all(item.file_meta.TransferSyntaxUID == RLELossless for item in slices_of(archive, case))
    foreign = {path.name for path in (archive.mri / case.series).iterdir() if not path.name.isdigit()}
    assert foreign == {".DS_Store", "DICOMDIR", "Thumbs.db"}
    assert "PixelData" not in pydicom.dcmread(archive.mri / case.series / "DICOMDIR")
    assert_is_the_truth(read_series(archive, case), case, 1e-6)


def test_inverted_contrast(spoilt):
    archive, case = spoilt(Defect.INVERTED_CONTRAST)
    image = sitk.GetArrayFromImage(sitk.DICOMOrient(read_series(archive, case), "LPS")).astype(int)
    assert len(np.unique(image + case.knee.image)) == 1
    assert image.max() == case.knee.image.max()


def test_files_that_cannot_be_read(spoilt):
    archive, case = spoilt(Defect.TRUNCATED_SLICE, Defect.UNREADABLE_SLICE)
    outcomes = []
    for path in sorted((archive.mri / case.series).iterdir()):
        try:
            pydicom.dcmread(path).pixel_array  # noqa: B018
        except Exception as error:
            outcomes.append(type(error).__name__)
    assert sorted(outcomes) == ["InvalidDicomError", "ValueError"]


def test_tags_that_are_wrong_or_missing(spoilt):
    archive, case = spoilt(Defect.LEFT_KNEE, Defect.NO_POSITION, Defect.NO_CODEC)
    for item in slices_of(archive, case):
        assert item.SeriesDescription == "SAG_3D_DESS_LEFT"
        assert "ImagePositionPatient" not in item
        assert item.file_meta.TransferSyntaxUID == HTJ2KLossless


@pytest.mark.parametrize("name", DICOM_ONLY)
def test_defects_of_dicom_need_dicom(tmp_path, name):
    with pytest.raises(ValueError, match=f"defects must suit the format, got {name} with mri_format 'nifti'"):
        write_archive(tmp_path, cases=1, mri_format="nifti", defects={0: [Defect[name]]})


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"layout": "classification"}, ValueError, "layout must be one of .* got 'classification'"),
        ({"flips": ((True, False),)}, ValueError, "flips must hold triples"),
        ({"mri_format": "nrrd"}, ValueError, "mri_format must be one of .* got 'nrrd'"),
        ({"rescale": (2, 0)}, ValueError, r"rescale must let 16-bit integers .* got \(2, 0\)"),
        ({"rescale": (0, 0)}, ValueError, r"rescale must let 16-bit integers .* got \(0, 0\)"),
        ({"rescale": (1, 10), "mri_format": "mha"}, ValueError, r"rescale must be \(1, 0\) where mri_format is 'mha'"),
        ({"defects": {1: [Defect.MISSING_MRI]}}, ValueError, "defects must name cases from 0 to 0, got 1"),
        ({"defects": {0: ["MISSING_MRI"]}}, TypeError, "defects must be members of Defect, got 'MISSING_MRI'"),
        ({"defects": {0: [Defect.LEFT_KNEE]}, "sides": ["left"]}, ValueError, "defects must not call a left knee left"),
        (
            {"defects": {0: [Defect.MISSING_SLICE]}, "shape": (9, 8, 3)},
            ValueError,
            "shape must have at least 4 slices along x for MISSING_SLICE, got 3",
        ),
    ],
)
def test_bad_arguments(tmp_path, arguments, error, message):
    with pytest.raises(error, match=message):
        write_archive(tmp_path, **{"cases": 1, "shape": (6, 7, 5), "spacing": (15.0, 16.0, 18.0), **arguments})
