"""The Python functions under the command: what they return and raise, and that they print nothing."""

import pydicom
import pytest
from archives import SMALL, contents
from phantom_defects import Defect, write_archive
from pydicom.encaps import encapsulate

from dataset_conversion.convert import FINDERS, convert, convert_dataset, convert_dicom, convert_masks
from dataset_conversion.faults import FaultyCases
from dataset_conversion.sources import DATASET_NAMES, HELP
from nnunet_eas.support.errors import PartialSuccess


def test_every_source_has_a_name_and_help():
    assert list(FINDERS) == list(DATASET_NAMES) == list(HELP)


def test_a_dataset_is_returned_and_nothing_printed(tmp_path, capfd):
    archive = write_archive(tmp_path / "a", cases=3, defects={1: [Defect.MISSING_MASK]}, **SMALL)
    options = {"mri": archive.mri, "dataset_id": 7, "output": tmp_path / "raw"}
    with pytest.raises(FaultyCases, match="1 of 3 cases can't be converted") as error:
        convert("oai-zib", archive.masks, **options)
    faulty = f"oaizib_{archive.cases[1].identifier}"
    assert list(error.value.faults) == [faulty]
    good = tuple(f"oaizib_{archive.cases[i].identifier}" for i in (0, 2))
    planned = convert("oai-zib", archive.masks, **options, skip_faulty=True, dry_run=True)
    assert planned.cases == planned.converted == good
    assert not (tmp_path / "raw").exists()

    result = convert("oai-zib", str(archive.masks), **options, skip_faulty=True, verify=True)
    assert result.folder == tmp_path / "raw" / "Dataset007_OAIZIB"
    assert result.cases == result.converted == good
    assert list(result.faults) == [faulty]
    assert result.training_cases == 2
    assert any("own five folds need 5 cases" in warning for warning in result.warnings)
    assert convert("oai-zib", archive.masks, **options, skip_faulty=True).converted == ()
    assert convert("verify", result.folder).cases == good
    assert capfd.readouterr() == ("", "")


@pytest.fixture
def one_damaged(tmp_path):
    """Two series; the headers of both are right, but one slice of the second holds no pixels."""
    archive = write_archive(tmp_path / "a", cases=2, defects={1: [Defect.COMPRESSED]}, **SMALL)
    path = sorted((archive.mri / archive.cases[1].series).iterdir())[4]
    item = pydicom.dcmread(path)
    item.PixelData = encapsulate([b"no code stream"])
    item.save_as(path, enforce_file_format=True)
    return archive


def test_scans_that_fail_late_are_partial_success(tmp_path, one_damaged):
    with pytest.raises(PartialSuccess, match="1 of 2 cases can't be converted") as error:
        convert_dicom(one_damaged.mri, tmp_path / "scans")
    good, faulty = (f"oai_{case.identifier}_{case.series.name}" for case in one_damaged.cases)
    assert error.value.result.cases == (good,)
    assert list(error.value.faults) == [faulty]
    assert [file.name for file in (tmp_path / "scans").glob("*.nii.gz")] == [f"{good}_0000.nii.gz"]
    result = convert("dicom", one_damaged.mri, tmp_path / "scans", skip_faulty=True)
    assert (result.cases, result.converted, list(result.faults)) == ((good,), (), [faulty])


def test_interrupted_conversions_leave_nothing_behind(tmp_path):
    archive = write_archive(tmp_path / "a", cases=1, **SMALL)
    folder = convert_dataset("oai-zib", archive.masks, mri=archive.mri, dataset_id=7, output=tmp_path / "raw").folder
    before = contents(folder)
    for place in ("conversion", "conversion/cases", "."):
        (folder / place / ".partial_1_half.json").write_text("{")
    convert_dataset("oai-zib", archive.masks, mri=archive.mri, dataset_id=7, output=tmp_path / "raw")
    assert contents(folder) == before


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda folder: convert("oai", folder), ValueError, "kind must be one of oai-zib, .* got 'oai'"),
        (lambda folder: convert("ski10", folder, dataset_id=1, labels="all"), ValueError, "labels must be one of"),
        (lambda folder: convert("oai-zib", folder, dataset_id=1), FileNotFoundError, "source .--archive. must hold"),
        (lambda folder: convert_dicom(folder, folder / "o", side="up"), ValueError, "side must be left, right or None"),
        (lambda folder: convert_dicom(folder, folder / "o", workers=0), ValueError, "workers must be at least 1"),
        (lambda folder: convert_masks(folder, folder, table=folder / "t"), FileNotFoundError, "--table must be the"),
        (lambda folder: convert("masks", folder), TypeError, "missing"),
    ],
)
def test_bad_arguments(tmp_path, call, error, message):
    with pytest.raises(error, match=message):
        call(tmp_path)
