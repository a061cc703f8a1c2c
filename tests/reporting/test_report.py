"""`report` from Python: the page as an object, and cases that fail."""

import shutil
from pathlib import Path

import pytest
from evaluation.mask_files import write_mask
from reporting.model_folders import DATASET, shifted, write_model

from nnunet_eas.reporting.report import report
from nnunet_eas.support.errors import PartialSuccess


def test_without_an_output_nothing_is_written_or_printed(models, run, capsys):
    before = set(Path().rglob("*"))
    made = report([str(model) for model in models])
    assert set(Path().rglob("*")) == before
    assert capsys.readouterr() == ("", "")
    assert made.html == run(*models)[1]
    assert (made.models, made.cases) == (["EASUNetTrainer", "nnUNetTrainer"], ["a", "b", "c", "d"])
    assert (made.left_out, made.without_scan, made.notes) == ({}, {}, [])


def test_options(models):
    made = report(models[:1], "new/page.html", names=["one"], tolerance_mm=2.5)
    assert Path("new/page.html").read_text(encoding="utf-8") == made.html
    assert ">one<" in made.html
    assert "Here tolerance_mm is 2.5." in made.html


def test_cases_that_fail_are_in_the_exception_and_the_others_on_its_page(models):
    Path("raw", DATASET, "imagesTr", "d_0000.nii.gz").unlink()
    (models[1] / "fold_0" / "validation" / "b.nii.gz").write_bytes(b"no image")
    with pytest.raises(
        PartialSuccess, match=r"got faults in b, d\. Correct .* again; page.html has all others"
    ) as caught:
        report(models, "page.html")
    assert caught.value.result.cases == ["a", "c", "d"]
    assert caught.value.faults["b"].startswith("nnUNetTrainer: prediction: b.nii.gz must be a whole file")
    assert caught.value.faults["d"].startswith("the scan must be one file CASE_0000 in images (-images), got none")
    assert Path("page.html").read_text(encoding="utf-8") == caught.value.result.html


def test_a_case_that_one_model_lacks_is_no_fault_unless_another_one_s_is_faulty(models):
    third = models[0].parent / "Third__nnUNetPlans__2d"
    write_model(third, (0, 0, 0, 0))
    shutil.rmtree(third / "fold_1")
    assert list(report([*models, third]).left_out) == ["c", "d"]
    write_mask(models[1] / "fold_0" / "validation" / "c.nii.gz", shifted(0))  # in two folds
    with pytest.raises(PartialSuccess, match="got faults in c") as caught:
        report([*models, third])
    assert list(caught.value.faults) == ["c"]
    assert "nnUNetTrainer: the prediction must be one file" in caught.value.faults["c"]
    assert caught.value.faults["c"].endswith("Third has no prediction of it")
