"""OAI-ZIB through the command line: right place, right values, and a sentence for everything that is wrong."""

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress

import numpy as np
import pytest
import SimpleITK as sitk
from archives import FLIPS, LANDMARKS_XYZ, SMALL, archive_options, contents
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from phantom_defects import Defect, write_archive

from dataset_conversion.writing.output_folder import one_conversion_at_a_time

CARTILAGE = np.array([0, 0, 1, 0, 2], dtype=np.uint8)


def assert_is_converted(archive, folder, table=CARTILAGE):
    for case in archive.cases:
        image = sitk.ReadImage(str(folder / "imagesTr" / f"oaizib_{case.identifier}_0000.nii.gz"))
        mask = sitk.ReadImage(str(folder / "labelsTr" / f"oaizib_{case.identifier}.nii.gz"))
        for volume in (image, mask):
            for index in LANDMARKS_XYZ:
                found = np.asarray(volume.TransformIndexToPhysicalPoint(index))
                assert np.abs(found - case.position(index)).max() < 0.01
        assert np.array_equal(sitk.GetArrayFromImage(image), case.knee.image)
        assert np.array_equal(sitk.GetArrayFromImage(mask), table[case.knee.segmentation])


@pytest.mark.slow
def test_thirty_oblique_cases_in_all_orientations_lie_where_they_lay(tmp_path, convert):
    archive = write_archive(tmp_path / "a", cases=30, seed=3, flips=FLIPS, obliquity_deg=20, **SMALL)
    status, out, _ = convert(*archive_options(archive, tmp_path / "raw"), "--verify")
    assert status == 0
    assert "verified: 30 cases as in the source" in out
    assert_is_converted(archive, tmp_path / "raw" / "Dataset500_OAIZIB")


@pytest.mark.slow
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    spacing=st.tuples(*[st.floats(0.3, 12).map(lambda v: round(v, 4))] * 3),
    obliquity_deg=st.floats(0, 40),
    flips=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    side=st.sampled_from(["right", "left"]),
    order=st.permutations(range(5)),
    seed=st.integers(0, 50),
    rescale=st.sampled_from([(1, 0), (1, -7), (0.5, 0), (0.25, 12)]),
)
def test_any_geometry(tmp_path_factory, convert, spacing, obliquity_deg, flips, side, order, seed, rescale):
    folder = tmp_path_factory.mktemp("any")
    archive = write_archive(
        folder / "a",
        cases=1,
        seed=seed,
        shape=(6, 7, 5),
        spacing=spacing,
        sides=[side],
        obliquity_deg=obliquity_deg,
        flips=[flips],
        rescale=rescale,
    )
    (case,) = archive.cases
    for number, file in zip(order, sorted((archive.mri / case.series).iterdir())):
        file.rename(file.with_name(f"new{number}"))
    assert convert("dicom", "-i", archive.mri, "-o", folder / "scans")[0] == 0
    written = list((folder / "scans").glob("*.nii.gz"))
    status, _, err = convert(*archive_options(archive, folder / "raw"))
    if side == "left":
        assert "it is a left knee" in err
    else:
        assert status == 0, err
        written += (folder / "raw" / "Dataset500_OAIZIB" / "imagesTr").iterdir()
    for file in written:
        image = sitk.ReadImage(str(file))
        assert np.array_equal(sitk.GetArrayFromImage(image), case.knee.image)
        for index in ((0, 0, 0), (4, 0, 5), (1, 6, 2)):
            found = np.asarray(image.TransformIndexToPhysicalPoint(index))
            assert np.abs(found - case.position(index)).max() < 0.01


@pytest.mark.parametrize("mri_format", ["nifti", "mha"])
@pytest.mark.parametrize("layout", ["segmentation", "OAI-ZIB"])
def test_both_layouts_and_volumes_in_the_place_of_dicom(tmp_path, convert, layout, mri_format):
    archive = write_archive(tmp_path / "a", cases=2, layout=layout, mri_format=mri_format, flips=FLIPS[3:5], **SMALL)
    status, _, _ = convert(*archive_options(archive, tmp_path / "raw"), "--labels", "cartilage-and-bone")
    assert status == 0
    assert_is_converted(archive, tmp_path / "raw" / "Dataset500_OAIZIB", np.arange(5, dtype=np.uint8))


FAULTS = {
    Defect.MISSING_MRI: "its MRI is missing",
    Defect.MISSING_MASK: "its mask is missing",
    Defect.SIZE_DIFFERS: "must have the image's size",
    Defect.FOREIGN_LABELS: "its labels must be 0 or one of",
    Defect.MISSING_SLICE: "1 slice(s) are missing",
    Defect.EVERY_OTHER_SLICE: "slices are missing, or the scan has gaps",
    Defect.DUPLICATE_SLICE: "duplicate slices",
    Defect.UNEVEN_SLICES: "unevenly spaced",
    Defect.SLICE_THICKNESS: "mm thick but",
    Defect.TWO_ECHOES: "2 echoes",
    Defect.TWO_ACQUISITIONS: "2 acquisitions",
    Defect.SEVERAL_SERIES: "2 series",
    Defect.MIXED_ORIENTATION: "not parallel",
    Defect.TRUNCATED_RAW: "bytes that its header implies",
    Defect.HEADER_SIZE: "bytes that its header implies",
    Defect.UNREADABLE_SLICE: "can't be read as DICOM",
    Defect.TRUNCATED_SLICE: "end before their pixels do",
    Defect.DUPLICATE_ID: "stands twice",
    Defect.NO_CODEC: "no decoder for its transfer syntax",
    Defect.LEFT_KNEE: "a left knee",
    Defect.NO_POSITION: "lack position",
}
ODDITIES = {
    Defect.ISOLATED_CLUSTER: "isolated cluster",
    Defect.EMPTY_STRUCTURE: "no tibial cartilage",
    Defect.INVERTED_CONTRAST: "darker than bone",
}
HARMLESS = {Defect.FOREIGN_FILES, Defect.COMPRESSED}
SHOWN_AT_FULL_SIZE = {Defect.SHIFTED_MASK}


def test_every_defect_has_its_test():
    assert set(FAULTS) | set(ODDITIES) | HARMLESS | SHOWN_AT_FULL_SIZE == set(Defect)


@pytest.mark.slow
def test_all_faults_in_one_error_and_the_good_ones_convertible(tmp_path, convert):
    wrong = list(FAULTS)
    archive = write_archive(
        tmp_path / "a", cases=len(wrong) + 2, defects={i: [d] for i, d in enumerate(wrong)}, **SMALL
    )
    options = archive_options(archive, tmp_path / "raw")
    status, _, err = convert(*options)
    assert status == 1
    assert f"{len(wrong)} of {len(wrong) + 2} cases can't be converted" in err
    for defect, case in zip(wrong, archive.cases):
        lines = [line for line in err.splitlines() if f"oaizib_{case.identifier}:" in line]
        assert len(lines) == 1, (defect, lines)
        assert FAULTS[defect] in lines[0]
    assert not (tmp_path / "raw").exists()

    status, _, err = convert(*options, "--skip-faulty")
    assert status == 0
    folder = tmp_path / "raw" / "Dataset500_OAIZIB"
    assert json.loads((folder / "dataset.json").read_text())["numTraining"] == 2
    good = {f"oaizib_{case.identifier}.nii.gz" for case in archive.cases[-2:]}
    assert {f.name for f in (folder / "labelsTr").iterdir()} == good
    report = (folder / "conversion" / "report.csv").read_text()
    assert all(case.identifier in report for case in archive.cases)


def test_what_is_odd_is_converted_and_reported_first(tmp_path, convert):
    odd = [*ODDITIES, *HARMLESS]
    archive = write_archive(tmp_path / "a", cases=len(odd) + 1, defects={i: [d] for i, d in enumerate(odd)}, **SMALL)
    assert convert(*archive_options(archive, tmp_path / "raw"))[0] == 0
    report = tmp_path / "raw" / "Dataset500_OAIZIB" / "conversion" / "report.csv"
    lines = report.read_text().splitlines()[1:]
    states = [line.split(",")[2] for line in lines]
    assert states == ["look"] * len(ODDITIES) + ["ok"] * (len(lines) - len(ODDITIES))
    for defect, case in zip(odd, archive.cases):
        line = next(line for line in lines if case.identifier in line)
        assert ODDITIES.get(defect, ",ok,") in line
    page = report.with_suffix(".html").read_text()
    assert page.index(archive.cases[0].identifier) < page.index(archive.cases[-1].identifier)
    assert page.count("data:image/png;base64,i") == len(odd) + 1


@pytest.mark.slow
def test_a_shifted_outline_is_seen_and_a_right_one_is_not(tmp_path, convert):
    archive = write_archive(tmp_path / "a", cases=3, defects={1: [Defect.SHIFTED_MASK]})
    assert convert(*archive_options(archive, tmp_path / "raw"))[0] == 0
    report = (tmp_path / "raw" / "Dataset500_OAIZIB" / "conversion" / "report.csv").read_text()
    assert [line.split(",")[2] for line in report.splitlines()[1:]] == ["look", "ok", "ok"]
    assert "the outline seems shifted" in report
    assert "along z" in report


def test_gaps_can_be_allowed_and_the_distance_counts(tmp_path, convert):
    archive = write_archive(tmp_path / "a", cases=1, defects={0: [Defect.SLICE_THICKNESS]}, **SMALL)
    assert convert(*archive_options(archive, tmp_path / "raw"), "--allow-gaps")[0] == 0
    assert_is_converted(archive, tmp_path / "raw" / "Dataset500_OAIZIB")


def test_a_second_run_converts_only_what_is_missing_or_has_changed(tmp_path, convert):
    archive = write_archive(tmp_path / "a", cases=3, **SMALL)
    options = archive_options(archive, tmp_path / "raw")
    convert(*options)
    folder = tmp_path / "raw" / "Dataset500_OAIZIB"
    before, times = contents(folder), {f: f.stat().st_mtime_ns for f in folder.rglob("*.nii.gz")}

    assert "0 of them converted now" in convert(*options)[1]
    assert {f: f.stat().st_mtime_ns for f in folder.rglob("*.nii.gz")} == times

    lost = folder / "labelsTr" / f"oaizib_{archive.cases[1].identifier}.nii.gz"
    lost.unlink()
    assert "1 of them converted now" in convert(*options)[1]
    assert contents(folder) == before

    changed = next((archive.masks).rglob(f"{archive.cases[2].identifier}.segmentation_masks.raw"))
    content = bytearray(changed.read_bytes())
    content[:1] = b"\2"
    changed.write_bytes(content)
    assert "1 of them converted now" in convert(*options)[1]
    assert sitk.ReadImage(str(folder / "labelsTr" / f"oaizib_{archive.cases[2].identifier}.nii.gz"))[0, 0, 0] == 1


@pytest.mark.slow
def test_killed_at_any_moment_and_run_again_it_ends_as_if_undisturbed(tmp_path):
    archive = write_archive(tmp_path / "a", cases=24, flips=FLIPS, **SMALL)

    def start(output):
        command = [sys.executable, "-m", "nnunet_eas.cli.main", "convert", *archive_options(archive, output)]
        return subprocess.Popen([*map(str, command), "--workers", "2"], stdout=subprocess.DEVNULL)

    began = time.monotonic()
    assert start(tmp_path / "undisturbed").wait() == 0
    duration = time.monotonic() - began
    killed = 0
    for part in (0.3, 0.45, 0.6, 0.75, 0.85, 0.95):
        process = start(tmp_path / "killed")
        time.sleep(duration * part)
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
        for file in (tmp_path / "killed").rglob("*.nii.gz"):
            if "conversion" not in file.relative_to(tmp_path).parts:
                gzip.decompress(file.read_bytes())  # raises on half a file
    assert killed >= 3
    assert start(tmp_path / "killed").wait() == 0
    assert contents(tmp_path / "killed") == contents(tmp_path / "undisturbed")


@pytest.mark.slow
def test_a_full_disk_ends_in_one_sentence_and_leaves_no_half_file(tmp_path):
    archive = write_archive(tmp_path / "a", cases=1, shape=(60, 70, 30), spacing=(1.8, 1.7, 3.1))
    options = [str(o) for o in archive_options(archive, tmp_path / "raw")]
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000)); "
        "from nnunet_eas.cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    completed = subprocess.run(
        [sys.executable, "-c", code, "convert", *options, "--workers", "1"], capture_output=True, text=True
    )
    assert completed.returncode == 1
    assert completed.stderr.startswith("error: ")
    assert "File too large" in completed.stderr
    assert "Traceback" not in completed.stderr
    folder = tmp_path / "raw" / "Dataset500_OAIZIB"
    assert not list(folder.rglob("*.nii.gz"))
    assert not (folder / "dataset.json").exists()


def test_nothing_of_the_patient_reaches_the_output(tmp_path, convert):
    archive = write_archive(tmp_path / "a", cases=2, defects={1: [Defect.UNEVEN_SLICES]}, **SMALL)
    _, out, err = convert(*archive_options(archive, tmp_path / "raw"), "--skip-faulty")
    dates = [case.series.parts[2].encode() for case in archive.cases]
    for text in (out.encode(), err.encode(), *(_plain(f) for f in (tmp_path / "raw").rglob("*") if f.is_file())):
        assert b"PHANTOM" not in text
        assert not any(date in text for date in dates)


def _plain(file):
    return gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()


def test_other_datasets_are_left_alone(tmp_path, convert):
    archive = write_archive(tmp_path / "a", cases=2, **SMALL)
    options = archive_options(archive, tmp_path / "raw")
    assert convert(*options)[0] == 0
    before = contents(tmp_path / "raw")
    assert "labels cartilage" in convert(*options, "--labels", "cartilage-and-bone")[2]
    assert "must be a free number" in convert(*options, "--name", "Other")[2]
    (tmp_path / "raw" / "Dataset007_Mine").mkdir()
    (tmp_path / "raw" / "Dataset007_Mine" / "dataset.json").write_text("{}")
    assert "no conversion of ours" in convert(*archive_options(archive, tmp_path / "raw", 7), "--name", "Mine")[2]
    (tmp_path / "raw" / "Dataset007_Mine" / "dataset.json").unlink()
    assert contents(tmp_path / "raw") == before


def test_dry_run_writes_nothing(tmp_path, convert):
    archive = write_archive(tmp_path / "a", cases=2, **SMALL)
    status, out, _ = convert(*archive_options(archive, tmp_path / "raw"), "--dry-run")
    assert status == 0
    assert "2 cases" in out
    assert not (tmp_path / "raw").exists()


def test_the_papers_protocol(tmp_path, convert):
    archive = write_archive(tmp_path / "a", cases=5, **SMALL)
    options = [*archive_options(archive, tmp_path / "raw"), "--paper", "--paper-cases", "3", "--seed", "4"]
    assert convert(*options)[0] == 0
    folder = tmp_path / "raw" / "Dataset500_OAIZIB"
    chosen = json.loads((folder / "conversion" / "paper_cases.json").read_text())
    assert len(chosen) == 3
    for case in chosen:
        mask = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "labelsTr" / f"{case}.nii.gz")))
        assert mask[:, :, 0].any()
        assert mask[:, :, -1].any()
    number = chosen[0].removeprefix("oaizib_")
    truth = next(case for case in archive.cases if case.identifier == number)
    used = np.flatnonzero(CARTILAGE[truth.knee.segmentation].any(axis=(0, 1)))
    image = sitk.ReadImage(str(folder / "imagesTr" / f"{chosen[0]}_0000.nii.gz"))
    found = np.asarray(image.TransformIndexToPhysicalPoint((0, 3, 2)))
    assert np.abs(found - truth.position((int(used[0]), 3, 2))).max() < 0.01

    status, _, err = convert(*archive_options(archive, tmp_path / "raw", 501), "--paper")
    assert status == 1
    assert "must be 1 to the number of training cases, 5" in err


def test_slices_are_2d_cases_and_stay_together_in_a_split(tmp_path, convert):
    archive = write_archive(tmp_path / "a", cases=6, **SMALL)
    assert convert(*archive_options(archive, tmp_path / "raw"), "--slices")[0] == 0
    folder = tmp_path / "raw" / "Dataset500_OAIZIB"
    truth = archive.cases[0]
    used = np.flatnonzero(CARTILAGE[truth.knee.segmentation].any(axis=(0, 1)))
    written = sorted((folder / "labelsTr").glob(f"oaizib_{truth.identifier}_x*"))
    assert [int(f.name[-10:-7]) for f in written] == used.tolist()
    image = sitk.ReadImage(str(folder / "imagesTr" / written[0].name.replace(".nii", "_0000.nii")))
    assert image.GetSpacing() == pytest.approx((4.2, 4.6))
    assert np.array_equal(sitk.GetArrayFromImage(image), truth.knee.image[:, :, used[0]])
    folds = json.loads((folder / "splits_final.json").read_text())
    assert len(folds) == 5
    for fold in folds:
        assert not {case[:14] for case in fold["train"]} & {case[:14] for case in fold["val"]}


def test_official_two_fold_split(tmp_path, convert):
    archive = write_archive(tmp_path / "a", cases=5, **SMALL)
    status, _, err = convert(*archive_options(archive, tmp_path / "raw"), "--split", "two-fold")
    assert status == 0
    assert "train 0 to 1 only" in err
    folds = json.loads((tmp_path / "raw" / "Dataset500_OAIZIB" / "splits_final.json").read_text())
    first = [f"oaizib_{case.identifier}" for case in archive.cases[:2]]
    assert folds[0]["train"] == first == folds[1]["val"]
    assert len(folds[0]["val"]) == 3


def test_a_wrong_split_is_told_before_the_work(tmp_path, convert):
    archive = write_archive(tmp_path / "a", cases=2, **SMALL)
    lists = archive.masks / "segmentation" / "doc" / "2foldCrossValidation-List2.txt"
    lists.write_text("")
    status, _, err = convert(*archive_options(archive, tmp_path / "raw"), "--split", "two-fold")
    assert status == 1
    assert f"got {archive.cases[1].identifier} in none or both" in err
    assert not (tmp_path / "raw").exists()


def test_a_slicing_axis_that_is_not_sagittal_is_told(tmp_path, convert):
    archive = write_archive(tmp_path / "a", cases=1, shape=(16, 26, 40), spacing=(5.6, 4.2, 2.2))
    assert "its slices will not be sagittal" in convert(*archive_options(archive, tmp_path / "raw"))[2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--archive", "nowhere"], "source (--archive) must hold segmentation/segmentation_masks"),
        (["--mri", "nowhere"], "--mri must be a folder"),
        (["-d", "0"], "dataset_id (-d) must be 1 to 999"),
        (["--name", "a b"], "--name must consist of"),
        (["--split", "nowhere.json"], "--split must be nnunet, two-fold or a file"),
        (["--paper", "--paper-cases", "0"], "(--paper-cases) must be 1 to"),
        (["--paper-cases", "4"], "--paper-cases must go with --paper"),
        (["--labels", "sided"], "labels must be a scheme whose structures the source holds"),
    ],
)
def test_bad_options(tmp_path, convert, options, message):
    archive = write_archive(tmp_path / "a", cases=1, **SMALL)
    status, _, err = convert(*archive_options(archive, tmp_path / "raw"), *options)
    assert status == 1
    assert message in err


def test_the_classification_folder_is_not_taken_for_the_segmentation(tmp_path, convert):
    archive = write_archive(tmp_path / "a", cases=1, **SMALL)
    options = archive_options(archive, tmp_path / "raw")
    options[2] = archive.masks / "classification"
    assert "its classification folder holds other labels" in convert(*options)[2]


def test_masks_are_never_taken_for_scans(tmp_path, convert):
    archive = write_archive(tmp_path, cases=2, defects={0: [Defect.MISSING_MRI]}, **SMALL)
    shutil.copytree(archive.masks / "segmentation", archive.mri / "copy of the masks")
    options = archive_options(archive, tmp_path / "raw")
    options[4] = tmp_path  # holds the archive as well
    lists = archive.masks / "segmentation" / "doc" / "oai_mri_paths.txt"
    lists.write_text(lists.read_text().replace(": ", ": mri/"))
    status, _, err = convert(*options)
    assert status == 1
    assert f"oaizib_{archive.cases[0].identifier}: its MRI is missing" in err
    assert "1 of 2 cases" in err


def test_a_wrong_root_of_the_scans_is_one_sentence(tmp_path, convert):
    archive = write_archive(tmp_path / "a", cases=3, **SMALL)
    options = archive_options(archive, tmp_path / "raw")
    options[4] = archive.mri / "0.E.1"
    err = convert(*options)[2]
    assert "--mri must be what the lines of oai_mri_paths.txt are relative to" in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("which", ["mri", "mask"])
def test_a_cut_nifti_is_faulty_although_simpleitk_reads_it(tmp_path, convert, which):
    archive = write_archive(tmp_path / "a", cases=2, mri_format="nifti", **SMALL)
    scan = archive.mri / f"{archive.cases[0].identifier}.nii.gz"
    scan.write_bytes(scan.read_bytes()[:-500])
    if which == "mri":
        err = convert(*archive_options(archive, tmp_path / "raw"))[2]
        assert f"oaizib_{archive.cases[0].identifier}: {scan.name} is damaged or cut off" in err
    else:
        options = archive_options(archive, tmp_path / "raw")
        assert convert(*options, "--skip-faulty")[0] == 0
        folder = tmp_path / "raw" / "Dataset500_OAIZIB"
        shutil.rmtree(folder / "conversion")
        mask = next((folder / "labelsTr").iterdir())
        mask.write_bytes(mask.read_bytes()[:-20])
        assert f"{mask.name} is damaged or cut off" in convert("verify", folder)[2]


def test_a_damaged_output_is_converted_again(tmp_path, convert):
    archive = write_archive(tmp_path / "a", cases=2, **SMALL)
    options = archive_options(archive, tmp_path / "raw")
    convert(*options)
    before = contents(tmp_path / "raw")
    image = next((tmp_path / "raw" / "Dataset500_OAIZIB" / "imagesTr").iterdir())
    image.write_bytes(image.read_bytes()[:-9])
    assert "1 of them converted now" in convert(*options)[1]
    assert contents(tmp_path / "raw") == before


def test_two_conversions_at_once(tmp_path, convert):
    archive = write_archive(tmp_path / "a", cases=1, **SMALL)
    options = archive_options(archive, tmp_path / "raw")
    convert(*options)
    next((tmp_path / "raw" / "Dataset500_OAIZIB" / "imagesTr").iterdir()).unlink()
    with one_conversion_at_a_time(tmp_path / "raw" / "Dataset500_OAIZIB"):
        assert "one conversion at a time" in convert(*options)[2]
    assert convert(*options)[0] == 0


def test_a_split_that_nnunet_has_otherwise_is_warned_of(tmp_path, convert, monkeypatch):
    archive = write_archive(tmp_path / "a", cases=2, **SMALL)
    monkeypatch.setenv("nnUNet_preprocessed", str(tmp_path / "preprocessed"))
    old = tmp_path / "preprocessed" / "Dataset500_OAIZIB" / "splits_final.json"
    old.parent.mkdir(parents=True)
    old.write_text("[]")
    err = convert(*archive_options(archive, tmp_path / "raw"), "--split", "two-fold")[2]
    assert f"{old} holds another split" in err
    assert "nnU-Net's own five folds need 5 cases" in convert(*archive_options(archive, tmp_path / "raw2"))[2]


@pytest.mark.slow
def test_an_interruption_is_one_line(tmp_path):
    archive = write_archive(tmp_path / "a", cases=24, **SMALL)
    for moment in ("imagesTr/*.nii.gz", "conversion/report.html"):  # at the first image; at the end or just behind it
        raw = tmp_path / moment.split("/")[0]
        command = [sys.executable, "-m", "nnunet_eas.cli.main", "convert", *archive_options(archive, raw)]
        process = subprocess.Popen(
            [*map(str, command), "--workers", "2"], stderr=subprocess.PIPE, start_new_session=True
        )
        while process.poll() is None and not list(raw.glob(f"Dataset*/{moment}")):
            time.sleep(0.01)
        with suppress(ProcessLookupError):  # it was quicker
            os.killpg(process.pid, signal.SIGINT)
        errors = process.communicate(timeout=60)[1].decode()
        assert errors in ("", "interrupted; run the same command again to go on\n")


def test_without_nnunet_raw(tmp_path, convert, monkeypatch):
    monkeypatch.delenv("nnUNet_raw", raising=False)
    archive = write_archive(tmp_path / "a", cases=1, **SMALL)
    options = archive_options(archive, tmp_path / "raw")[:-2]
    assert "nnUNet_raw must be set" in convert(*options)[2]
    monkeypatch.setitem(os.environ, "nnUNet_raw", str(tmp_path / "raw"))
    assert convert(*options)[0] == 0
